package projects

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Record is the JSON of one organization or project and where it stands.
type Record struct {
	// Path is the object's place in the document, for messages: projects[3].
	Path string
	// Key is the ref or id that the source files the object under; "" when only
	// the object itself says it. An object without one gets it, one with another
	// is an error.
	Key string
	// JSON is the object. It is not kept after Build.
	JSON []byte

	checked bool // known to be valid JSON in UTF-8
}

// Input is the content of a source.
type Input struct {
	Organizations []Record
	Projects      []Record
	// KeepGood has a record with an error keep its last good version, by ref or
	// id, instead of refusing everything; where there is none it is left out.
	// Sources whose records are written one by one set it.
	KeepGood bool
}

// SplitFile takes a projects file apart: one object with the lists
// organizations, which may be missing, and projects. The records point into
// data. Errors of syntax name line and column.
func SplitFile(data []byte) (Input, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // as some editors begin a file
	if len(bytes.TrimSpace(data)) == 0 {
		return Input{}, errors.New(`the file is empty; without projects it has {"projects":[]}`)
	}
	if err := checkSyntax(data); err != nil {
		return Input{}, err
	}
	var in Input
	invalid := new(InvalidError)
	seen := make(map[string]bool)
	c := cursor{data: data}
	if c.kind() != '{' {
		return Input{}, errors.New(`must be an object: {"organizations":[],"projects":[]}`)
	}
	for name := range c.members() {
		records := &in.Projects
		switch {
		case seen[name]:
			invalid.add(Problem{Path: name, Message: "given twice"})
			continue
		case name == "organizations":
			records = &in.Organizations
		case name != "projects":
			invalid.add(unknownField(name, []string{"organizations", "projects"}))
			continue
		}
		seen[name] = true
		if c.kind() != '[' {
			invalid.add(Problem{Path: name, Message: "must be a list"})
			continue
		}
		for i := range c.elements() {
			*records = append(*records, Record{Path: fmt.Sprintf("%s[%d]", name, i), JSON: c.value(), checked: true})
		}
	}
	if !seen["projects"] && invalid.empty() {
		invalid.add(Problem{Path: "projects", Message: "is missing; a file without projects has an empty list"})
	}
	return in, invalid.or()
}

// checkSyntax returns the error that keeps data from being JSON in UTF-8, with its
// position.
func checkSyntax(data []byte) error {
	if !json.Valid(data) {
		var syntax *json.SyntaxError
		if err := json.Unmarshal(data, new(struct{})); errors.As(err, &syntax) {
			// The offset is behind the byte that was not expected.
			return fmt.Errorf("%s: %s", position(data, int(syntax.Offset)-1), syntax.Error())
		}
		return errors.New("is no JSON")
	}
	if !utf8.Valid(data) {
		valid := 0
		for {
			r, size := utf8.DecodeRune(data[valid:])
			if r == utf8.RuneError && size == 1 {
				return fmt.Errorf("%s: not UTF-8", position(data, valid))
			}
			valid += size
		}
	}
	return nil
}

// position returns line and column, both from 1, of the byte at offset.
func position(data []byte, offset int) string {
	before := data[:min(max(offset, 0), len(data))]
	line := bytes.Count(before, []byte("\n"))
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line+1, column+1)
}
