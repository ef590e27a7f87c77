package cli

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/edgegate/edgegate/ratelimit/invocations"
)

// invocationWriter writes invocations in the format of a flag -o.
type invocationWriter interface {
	write(all []invocations.Invocation) error
}

// newInvocationWriter also writes the head of the format.
func newInvocationWriter(format string, w io.Writer) (invocationWriter, error) {
	switch format {
	case "json":
		return jsonLines{w}, nil
	case "csv":
		return newCSV[invocations.Invocation](w)
	}
	return &invocationTable{w: w}, nil
}

// jsonLines writes a line of JSON for each.
type jsonLines struct{ w io.Writer }

func (j jsonLines) write(all []invocations.Invocation) error {
	var text bytes.Buffer
	for i := range all {
		line, err := json.Marshal(&all[i])
		if err != nil {
			return err
		}
		text.Write(plainJSON(line))
		text.WriteByte('\n')
	}
	_, err := j.w.Write(text.Bytes())
	return err
}

// plainJSON escapes in JSON what could move the cursor of a terminal or change what is
// seen: control and formatting characters that JSON allows in strings.
func plainJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r >= utf8.RuneSelf && !unicode.IsGraphic(r) || r == 0x7f:
			for _, half := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, half)
			}
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}

// csvLines writes structs as CSV, with the names of JSON in the first line. What is null is
// empty.
type csvLines[T any] struct{ w *csv.Writer }

func newCSV[T any](w io.Writer) (csvLines[T], error) {
	c, of := csvLines[T]{csv.NewWriter(w)}, reflect.TypeFor[T]()
	names := make([]string, of.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(of.Field(i).Tag.Get("json"), ",")
	}
	return c, c.line(names)
}

func (c csvLines[T]) line(cells []string) error {
	if err := c.w.Write(cells); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c csvLines[T]) write(all []T) error {
	for i := range all {
		if err := c.line(csvCells(reflect.ValueOf(all[i]))); err != nil {
			return err
		}
	}
	return nil
}

func csvCells(of reflect.Value) []string {
	cells := make([]string, of.NumField())
	for i := range cells {
		v := of.Field(i)
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		switch v.Kind() {
		case reflect.String:
			cells[i] = csvText(v.String())
		case reflect.Float64:
			cells[i] = strconv.FormatFloat(v.Float(), 'f', -1, 64)
		default:
			cells[i] = fmt.Sprint(v.Interface())
		}
	}
	return cells
}

// csvText is text that a spreadsheet does not take for a formula, without characters that
// move a terminal's cursor.
func csvText(text string) string {
	text = printable(text)
	if text != "" && strings.ContainsRune("=+-@", rune(text[0])) {
		return "'" + text
	}
	return text
}

// invocationTable writes rows whose columns grow as wide as needed.
type invocationTable struct {
	w      io.Writer
	widths []int // nil: the head was not written yet
}

func (t *invocationTable) write(all []invocations.Invocation) error {
	rows := make([][]string, 0, 1+len(all))
	if t.widths == nil {
		rows = append(rows, []string{"TIME", "STATUS", "MS", "PROJECT", "FUNCTION", "REGION", "TRIES", "IN", "OUT", "OUTCOME"})
		t.widths = make([]int, len(rows[0]))
	}
	for i := range all {
		rows = append(rows, invocationRow(&all[i]))
	}
	for _, row := range rows {
		for i, cell := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text bytes.Buffer
	for _, row := range rows {
		var line []byte
		for i, cell := range row {
			line = fmt.Appendf(line, "%-*s  ", t.widths[i], cell)
		}
		text.Write(append(bytes.TrimRight(line, " "), '\n'))
	}
	_, err := t.w.Write(text.Bytes())
	return err
}

func invocationRow(i *invocations.Invocation) []string {
	outcome := cell(i.Outcome)
	switch {
	case i.SBErrorCode != nil:
		outcome = outcome + " " + printable(*i.SBErrorCode)
	case i.Status == nil:
		outcome = "not ended"
	case i.Cut != nil && *i.Cut:
		outcome = "broken off"
	}
	row := []string{
		time.UnixMicro(i.Timestamp).UTC().Format("2006-01-02 15:04:05.000"),
		cell(i.Status),
		number(i.ExecutionTimeMS, "%.1f"),
		cell(i.ProjectRef),
		cell(i.Function),
		cell(i.Region),
		cell(i.Attempts),
		cell(i.BytesIn),
		cell(i.BytesOut),
		outcome,
	}
	return row
}

// cell is a value in a table.
func cell[T any](value *T) string {
	if value == nil {
		return none
	}
	return cmp.Or(printable(fmt.Sprint(*value)), none)
}
