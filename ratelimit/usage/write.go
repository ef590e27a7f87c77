package usage

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// Format is a file format for lines.
type Format string

// The formats of exports. All but FOCUS have the columns of Line in their order.
const (
	CSV     Format = "csv"
	JSONL   Format = "jsonl"   // one JSON object a line
	Parquet Format = "parquet" // compressed with zstd
	FOCUS   Format = "focus"   // CSV with the columns of FOCUS
)

// Formats lists the formats.
func Formats() []string { return []string{string(CSV), string(JSONL), string(Parquet), string(FOCUS)} }

// groupRows is how many rows of a Parquet file are held in memory.
const groupRows = 20_000

// Totals add up the lines of a file.
type Totals struct {
	Rows        int64 `json:"rows"`
	Quantity    int64 `json:"quantity"`
	AmountMinor int64 `json:"amount_minor"`
	// Currency is the currency of all lines; "" if there are none or they differ.
	// AmountMinor means nothing then.
	Currency string `json:"currency,omitempty"`
}

func (t *Totals) add(l *Line) {
	switch t.Rows++; {
	case t.Rows == 1:
		t.Currency = l.Currency
	case t.Currency != l.Currency:
		t.Currency = ""
	}
	t.Quantity += l.Quantity
	t.AmountMinor += l.AmountMinor
}

// Write writes lines in a format, in constant memory. It stops at the first error
// of w or lines. For FOCUS use [WriteFOCUS].
func Write(w io.Writer, format Format, lines iter.Seq2[Line, error]) (Totals, error) {
	switch format {
	case CSV:
		return writeCSV(w, lines)
	case JSONL:
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return each(lines, func(l *Line) error { return encoder.Encode(l) })
	case Parquet:
		return writeParquet(w, lines)
	default:
		return Totals{}, fmt.Errorf("there is no format %q of lines", format)
	}
}

// each calls write with every line and adds them up.
func each(lines iter.Seq2[Line, error], write func(*Line) error) (total Totals, err error) {
	for l, err := range lines {
		if err == nil {
			err = write(&l)
		}
		if err != nil {
			return total, err
		}
		total.add(&l)
	}
	return total, nil
}

// csvColumn is a column of a CSV file.
type csvColumn struct {
	name  string
	value func(*Line) string
}

// columns are the columns of CSV files: the fields of Line in their order.
var columns = func() (all []csvColumn) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Line]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		all = append(all, csvColumn{name, func(l *Line) string {
			switch v := reflect.ValueOf(l).Elem().FieldByIndex(field.Index).Interface().(type) {
			case string:
				return v
			case int64:
				return strconv.FormatInt(v, 10)
			case time.Time:
				if v.IsZero() {
					return ""
				}
				return v.UTC().Format(time.RFC3339)
			case State:
				return string(v)
			default:
				panic(fmt.Sprintf("a column of type %T", v))
			}
		}})
	}
	return all
}()

func writeCSV(w io.Writer, lines iter.Seq2[Line, error]) (Totals, error) {
	writer, row := csv.NewWriter(w), make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.name
	}
	if err := writer.Write(row); err != nil {
		return Totals{}, err
	}
	total, err := each(lines, func(l *Line) error {
		for i, c := range columns {
			row[i] = c.value(l)
		}
		return writer.Write(row)
	})
	if err != nil {
		return total, err
	}
	writer.Flush()
	return total, writer.Error()
}

func writeParquet(w io.Writer, lines iter.Seq2[Line, error]) (Totals, error) {
	writer := parquet.NewGenericWriter[Line](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("edgegate", Schema, ""))
	row, inGroup := make([]Line, 1), 0
	total, err := each(lines, func(l *Line) error {
		row[0] = *l
		if _, err := writer.Write(row); err != nil {
			return err
		}
		if inGroup++; inGroup < groupRows {
			return nil
		}
		inGroup = 0
		return writer.Flush()
	})
	if err != nil {
		return total, err
	}
	return total, writer.Close()
}
