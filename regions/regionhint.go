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

// Hint is what a client said about where its invocation should run (contract
// 2.1 to 2.3). The zero value is a client that named no region.
type Hint struct {
	// Regions are the named regions in order of preference, without
	// repetitions, as the client spelled them: they may not exist.
	Regions []string
	// Any says that the list ended in `any`: the other regions follow.
	Any bool
	// Conflict says that header and query both named regions, and not the
	// same ones. The header won.
	Conflict bool
}

// Named says whether the client named a region. `any` alone names none.
func (h Hint) Named() bool { return len(h.Regions) > 0 }

// HintError is a list of regions that cannot be followed whatever regions
// there are. It is the client's mistake: 400 INVALID_REGION (contract 2.4).
type HintError struct {
	// Item is the item of the list that is wrong, at most 64 bytes of it.
	Item string
	// Problem says what is wrong with it.
	Problem string
}

// Error is fit for clients: the item is quoted, nothing else is theirs.
func (e *HintError) Error() string { return fmt.Sprintf("region %q: %s", e.Item, e.Problem) }

// ParseHint reads the values of the x-region header and the first
// forceFunctionRegion of a raw query. The header wins; absent, empty or `any`
// leaves it to the query (contract 2.2). Several header lines are one list
// (RFC 9110 section 5.3), empty items of a list are ignored (5.6.1). Values of
// the query are percent-decoded with + as a space, and taken literally where
// that fails. Which regions exist is not looked at. The error is a *HintError:
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

// shorten bounds what of a client's item is repeated to it.
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
