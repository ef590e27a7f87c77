package projects

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

// Duration is a time.Duration that is written as in "150s". Numbers are
// nanoseconds, as Caddy writes durations; one below a millisecond was meant to
// be seconds.
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		value, err := time.ParseDuration(text)
		if err != nil || value < 0 {
			return fmt.Errorf(`%q: must be a duration such as "150s"`, text)
		}
		*d = Duration(value)
		return nil
	}
	n, err := strconv.ParseInt(string(data), 10, 64)
	switch {
	case err != nil || n < 0:
		return errors.New(`must be a duration such as "150s"`)
	case n > 0 && n < int64(time.Millisecond):
		return fmt.Errorf(`%d: a bare number is nanoseconds; write "%ds"`, n, n)
	}
	*d = Duration(n)
	return nil
}

// Size is a number of bytes, written as a number or as in "100MB".
type Size int64

// UnmarshalJSON implements json.Unmarshaler.
func (s *Size) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		value, err := humanize.ParseBytes(text)
		if err != nil || value > math.MaxInt64/2 {
			return fmt.Errorf(`%q: must be a size such as "100MB"`, text)
		}
		*s = Size(value)
		return nil
	}
	n, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil || n < 0 {
		return errors.New(`must be a size such as "100MB", or a number of bytes`)
	}
	*s = Size(n)
	return nil
}

// Strings is one string or a list of them.
type Strings []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *Strings) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*s = Strings{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("must be a string or a list of strings")
	}
	*s = list
	return nil
}
