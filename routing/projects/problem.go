package projects

import (
	"fmt"
	"strings"
)

// Problem is something wrong with a document: where, what, and what to do.
type Problem struct {
	// Path is the JSON path, as in projects[3].functions[7].slug, "" for the
	// document as a whole.
	Path string `json:"path"`
	// Message never has a key or a secret in it.
	Message string `json:"message"`
	// Remedy is the advice; "" if the message has it.
	Remedy string `json:"remedy,omitempty"`
}

// String returns the problem in one line.
func (p Problem) String() string {
	text := p.Message
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// maxErrors bounds what an InvalidError lists: a generated file with one
// mistake in its template has it ten thousand times.
const maxErrors = 50

// InvalidError is a document that is not as it must be. It lists every
// structural problem up to the first fifty.
type InvalidError struct {
	Problems []Problem
	More     int // how many were not listed
}

// Error implements error with one line a problem.
func (e *InvalidError) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// add lists a problem, or counts it once the list is full.
func (e *InvalidError) add(p Problem) {
	if e.full() {
		e.More++
		return
	}
	e.Problems = append(e.Problems, p)
}

// addAll lists the problems of a part of the document, which stands at prefix.
func (e *InvalidError) addAll(prefix string, part *InvalidError) {
	for _, p := range part.Problems {
		p.Path = join(prefix, p.Path)
		e.add(p)
	}
	e.More += part.More
}

func (e *InvalidError) full() bool { return len(e.Problems) >= maxErrors }

func (e *InvalidError) empty() bool { return len(e.Problems) == 0 }

// or returns nil when nothing is wrong: a nil *InvalidError in an error would
// not be nil.
func (e *InvalidError) or() error {
	if e.empty() {
		return nil
	}
	return e
}

// join appends a path inside an object to the object's own.
func join(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "":
		return prefix
	}
	return prefix + "." + path
}
