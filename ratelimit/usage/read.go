package usage

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// Read calls visit with each line of a file that Write wrote. FOCUS files cannot be
// read, nor lines of a later schema. An error names the file and, for CSV and JSONL,
// the line.
func Read(path string, format Format, visit func(*Line) error) error {
	known := visit
	visit = func(l *Line) error {
		if l.Schema != SchemaV1 && l.Schema != Schema {
			return fmt.Errorf("schema %q: this build reads %s and %s: use the build that wrote it", l.Schema, SchemaV1, Schema)
		}
		return known(l)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	switch format {
	case CSV:
		err = readCSV(file, visit)
	case JSONL:
		err = readJSONL(file, visit)
	case Parquet:
		err = readParquet(file, visit)
	default:
		err = fmt.Errorf("files of format %q cannot be read: want %s, %s or %s", format, CSV, JSONL, Parquet)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func readCSV(file io.Reader, visit func(*Line) error) error {
	reader := csv.NewReader(file)
	header, err := reader.Read()
	if err != nil {
		return err
	}
	fields := make(map[string][]int)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Line]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[name] = field.Index
	}
	reader.ReuseRecord = true
	for n := 2; ; n++ {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var l Line
		for i := 0; i < len(row) && err == nil; i++ {
			if index, known := fields[header[i]]; known {
				if err = setField(reflect.ValueOf(&l).Elem().FieldByIndex(index), row[i]); err != nil {
					err = fmt.Errorf("column %s: %w", header[i], err)
				}
			}
		}
		if err == nil {
			err = visit(&l)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

func setField(field reflect.Value, text string) error {
	switch field.Interface().(type) {
	case time.Time:
		if text == "" { // a line whose schema has no such column
			return nil
		}
		at, err := time.Parse(time.RFC3339, text)
		field.Set(reflect.ValueOf(at))
		return err
	case int64:
		n, err := strconv.ParseInt(text, 10, 64)
		field.SetInt(n)
		return err
	}
	field.SetString(text)
	return nil
}

func readJSONL(file io.Reader, visit func(*Line) error) error {
	decoder := json.NewDecoder(file)
	for n := 1; ; n++ {
		var l Line
		err := decoder.Decode(&l)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = visit(&l)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

func readParquet(file *os.File, visit func(*Line) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	opened, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return err
	}
	reader := parquet.NewGenericReader[Line](opened)
	defer reader.Close()
	lines := make([]Line, 1000)
	for {
		n, err := reader.Read(lines)
		for i := range lines[:n] {
			l := &lines[i]
			l.WindowStart, l.WindowEnd, l.PeriodStart = l.WindowStart.UTC(), l.WindowEnd.UTC(), l.PeriodStart.UTC()
			if err := visit(&lines[i]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
