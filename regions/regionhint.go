package regions

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// queryName is the parameter that supabase-js sets beside x-region.
const queryName = "forceFunctionRegion"

// maxHintRegions bounds the work a client can ask for with one header.
const maxHintRegions = MaxRegions

// Hint is a client's wish for the region of its invocation (contract 2.1 to 2.3).
// The zero value names no region.
type Hint struct {
	// Regions are the named regions in order of preference, without
	// repetitions, as the client spelled them: they may not exist.
	Regions []string
	// Any is true if the list ended in `any`: the other regions follow.
	Any bool
	// Conflict is true if header and query named different regions. The header
	// was used.
	Conflict bool
}

// Named reports whether the client named a region. `any` alone names none.
func (h Hint) Named() bool { return len(h.Regions) > 0 }

// HintError is the error of a malformed list of regions, answered with 400
// INVALID_REGION (contract 2.4).
type HintError struct {
	// Item is the wrong item of the list, cut to 64 bytes.
	Item string
	// Problem describes the mistake.
	Problem string
}

// Error returns a text that is safe to send to clients.
func (e *HintError) Error() string { return fmt.Sprintf("region %q: %s", e.Item, e.Problem) }

// ParseHint reads the values of the x-region header and the first
// forceFunctionRegion of a raw query. The header wins; absent, empty or `any`
// leaves it to the query (contract 2.2). Several header lines are one list
// (RFC 9110 section 5.3), empty items of a list are ignored (5.6.1). Values of
// the query are percent-decoded with + as a space, and taken literally where
// that fails. It does not check whether the regions exist. The error is a *HintError:
// `any` before the end of a list, or more than 64 regions; a faulty query
// under a header that names a region is no error but a conflict. It doesn't
// allocate when neither is there.
func ParseHint(header []string, rawQuery string) (Hint, error) {
	var fromHeader, fromQuery regionList
	for _, value := range header {
		if err := fromHeader.add(value); err != nil {
			return Hint{}, err
		}
	}
	var queryErr error
	if value, ok := queryValue(rawQuery); ok {
		queryErr = fromQuery.add(value)
	}
	if len(fromHeader.names) > 0 {
		both := queryErr != nil || len(fromQuery.names) > 0
		return Hint{
			Regions:  fromHeader.names,
			Any:      fromHeader.any,
			Conflict: both && (queryErr != nil || !fromHeader.equal(fromQuery)),
		}, nil
	}
	if queryErr != nil {
		return Hint{}, queryErr
	}
	if len(fromQuery.names) == 0 {
		return Hint{}, nil
	}
	return Hint{Regions: fromQuery.names, Any: fromQuery.any}, nil
}

// regionList is a list of names as it is being read.
type regionList struct {
	names []string
	any   bool
}

func (l regionList) equal(other regionList) bool {
	return l.any == other.any && slices.Equal(l.names, other.names)
}

// add appends the comma-separated items of a value.
func (l *regionList) add(value string) error {
	for value != "" {
		var item string
		item, value, _ = strings.Cut(value, ",")
		item = strings.Trim(item, " \t")
		switch {
		case item == "":
		case item == anyName:
			// Said twice at the end it is still at the end.
			l.any = true
		case l.any:
			return &HintError{Item: shorten(item), Problem: "`any` may only be the last of a list"}
		case slices.Contains(l.names, item):
		case len(l.names) == maxHintRegions:
			return &HintError{Item: shorten(item), Problem: fmt.Sprintf("more than %d regions", maxHintRegions)}
		default:
			l.names = append(l.names, item)
		}
	}
	return nil
}

// shorten cuts an item to the length that is repeated to a client.
func shorten(item string) string { return item[:min(len(item), maxNameLength)] }

// queryValue returns the decoded first value of queryName. Only & separates
// parameters, as in the URL standard that clients follow.
func queryValue(rawQuery string) (string, bool) {
	for rawQuery != "" {
		var pair string
		pair, rawQuery, _ = strings.Cut(rawQuery, "&")
		name, value, _ := strings.Cut(pair, "=")
		if !decodesTo(name, queryName) {
			continue
		}
		if decoded, err := url.QueryUnescape(value); err == nil {
			return decoded, true
		}
		return value, true
	}
	return "", false
}

// decodesTo compares a percent-encoded name without allocating, since it is
// done for every parameter of every request.
func decodesTo(encoded, want string) bool {
	i := 0
	for j := range len(want) {
		if i >= len(encoded) {
			return false
		}
		c := encoded[i]
		i++
		if c == '%' {
			if i+2 > len(encoded) {
				return false
			}
			high, okHigh := unhex(encoded[i])
			low, okLow := unhex(encoded[i+1])
			if !okHigh || !okLow {
				return false
			}
			c = high<<4 | low
			i += 2
		}
		if c != want[j] {
			return false
		}
	}
	return i == len(encoded)
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
