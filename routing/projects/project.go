// Package projects holds who may be called: organizations, projects, their
// functions, keys and domains, as an immutable snapshot that requests read
// without locks, and builds it from what operators write.
//
// It decides which project a host belongs to, which function a slug names, what
// a document must look like, and how far a plan goes. It does not verify
// credentials (package auth), does not read requests (package routing), and
// does not know where documents lie: files and stores are its callers'.
package projects

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/cors"
)

// DefaultRef is the ref of the only project in single-project mode
// (contract 2.8).
const DefaultRef = "default"

// Wildcard is the slug of the entry that serves every slug not listed.
const Wildcard = "*"

// Function is one deployed slug of a project. A Function is immutable.
type Function struct {
	Slug      string        // as in the URL, case-sensitive; "*" for the wildcard entry
	ID        string        // UUID of the function; "" when unknown
	Version   int           // deployment version; 0 when unknown
	WallClock time.Duration // 0 leaves it to the project
	Exposed   cors.Exposed  // headers that scripts may read, besides the project's
	VerifyJWT bool
	CORS      CORSMode
	HTML      HTMLMode
	Status    Status

	WebSocketToken, EventSourceToken TokenSource
}

// Project is a tenant. A Project is immutable and safe for concurrent use.
type Project struct {
	Ref               string
	Organization      *Organization // nil: none, and so no plan
	Auth              *auth.Verifier
	CORS              *cors.Policy  // nil: the site's
	Exposed           cors.Exposed  // headers that scripts may read, besides the site's
	Domains           []string      // own hosts in ASCII, lower case, without port or trailing dot
	Regions           []string      // residency list; nil allows every region
	MaxBody           int64         // bytes; 0 leaves it to the gateway
	CountUnauthorized bool          // requests that are refused with 401 count as usage
	WallClock         time.Duration // from the request's start, the plan's where the project names none; 0: no limit

	functions []Function // by slug; the wildcard is not among them
	wildcard  *Function
	leftOut   int
}

// Function returns the function that slug names, compared byte for byte
// (contract 1.4). The wildcard entry stands in for slugs not listed.
// Removed functions and reserved or malformed slugs are not found. Throttled
// ones are.
func (p *Project) Function(slug string) (*Function, bool) {
	f := p.listed(slug)
	if f == nil {
		if p.wildcard == nil || !ValidSlug(slug) || Reserved(slug) {
			return nil, false
		}
		f = p.wildcard
	}
	return f, f.Status != StatusRemoved
}

// listed is a binary search: a map for each project would take as much memory
// as the functions themselves, and 50 slugs are six comparisons.
func (p *Project) listed(slug string) *Function {
	low, high := 0, len(p.functions)
	for low < high {
		middle := int(uint(low+high) >> 1)
		f := &p.functions[middle]
		switch {
		case f.Slug == slug:
			return f
		case f.Slug < slug:
			low = middle + 1
		default:
			high = middle
		}
	}
	return nil
}

// Functions returns how many slugs are listed, the wildcard and removed ones
// included, those beyond the plan not.
func (p *Project) Functions() int {
	n := len(p.functions) - p.leftOut
	if p.wildcard != nil {
		n++
	}
	return n
}

// LeftOut returns how many functions are beyond the plan's number. They are
// not found, not even by the wildcard (contract 7.6).
func (p *Project) LeftOut() int { return p.leftOut }

// EachFunction goes through the listed functions by slug, the wildcard last.
// Those beyond the plan are among them as StatusRemoved.
func (p *Project) EachFunction() iter.Seq[*Function] {
	return func(yield func(*Function) bool) {
		for i := range p.functions {
			if !yield(&p.functions[i]) {
				return
			}
		}
		if p.wildcard != nil {
			yield(p.wildcard)
		}
	}
}

// setFunctions stores functions, which it owns from then on. Their slugs differ.
func (p *Project) setFunctions(functions []Function) {
	compact(functions)
	slices.SortFunc(functions, func(a, b Function) int { return strings.Compare(a.Slug, b.Slug) })
	// `*` sorts before every letter, digit, _ and -.
	if len(functions) > 0 && functions[0].Slug == Wildcard {
		p.wildcard, functions = &functions[0], functions[1:]
	}
	p.functions = functions
}

// compact has the strings of a project's functions share one allocation: each
// by itself is rounded up to a size class and costs the collector a visit.
func compact(functions []Function) {
	var size int
	for i := range functions {
		size += len(functions[i].Slug) + len(functions[i].ID)
	}
	var blob strings.Builder
	blob.Grow(size)
	for i := range functions {
		blob.WriteString(functions[i].Slug)
		blob.WriteString(functions[i].ID)
	}
	rest := blob.String()
	for i := range functions {
		f := &functions[i]
		f.Slug, rest = rest[:len(f.Slug)], rest[len(f.Slug):]
		f.ID, rest = rest[:len(f.ID)], rest[len(f.ID):]
	}
}

// MaxSlug is the longest slug, in bytes. Runtimes keep functions in directories,
// whose names are no longer; and under a wildcard it is the client that chooses
// what is counted and logged (contract 9.7).
const MaxSlug = 255

// ValidSlug reports whether slug has the form of contract 1.4 and at most
// MaxSlug bytes.
func ValidSlug(slug string) bool {
	if len(slug) > MaxSlug {
		return false
	}
	for i := 0; i < len(slug); i++ {
		c := slug[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return slug != ""
}

// slugProblem describes the mistake in the slug of a listed function, "" when
// nothing is.
func slugProblem(slug string) string {
	switch {
	case slug == Wildcard:
		return ""
	case len(slug) > MaxSlug:
		return fmt.Sprintf("a slug has at most %d characters", MaxSlug)
	case !ValidSlug(slug):
		return "a slug is made of letters, digits, _ and -, or is * for any other"
	case Reserved(slug):
		return "reserved for the runtime's own endpoints"
	}
	return ""
}

// Reserved reports whether slug is a runtime's own namespace, which no client
// may reach in any spelling (contract 1.6).
func Reserved(slug string) bool { return strings.EqualFold(slug, "_internal") }

// ValidRef reports whether ref is that of a project: twenty lower-case letters.
func ValidRef(ref string) bool {
	if len(ref) != refLength {
		return false
	}
	for i := 0; i < len(ref); i++ {
		if ref[i] < 'a' || ref[i] > 'z' {
			return false
		}
	}
	return true
}

const refLength = 20
