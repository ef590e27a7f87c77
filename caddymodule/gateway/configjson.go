package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// UnmarshalJSON reads the configuration. Unknown fields are an error, and so is null
// as an entry of a list or as a plan, named by its path: nothing is configured there.
func (a *App) UnmarshalJSON(text []byte) error {
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	if err := refuseNulls("", document); err != nil {
		return err
	}
	type fields App // without this method
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode((*fields)(a)); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a.Plans)) {
		if a.Plans[name] == nil {
			return nullAt("plans." + name)
		}
	}
	return nil
}

// refuseNulls returns an error if a list at or below the path has a null.
func refuseNulls(path string, value any) error {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if err := refuseNulls(strings.TrimPrefix(path+"."+name, "."), value[name]); err != nil {
				return err
			}
		}
	case []any:
		for i, entry := range value {
			inner := path + "[" + strconv.Itoa(i) + "]"
			if entry == nil {
				return nullAt(inner)
			}
			if err := refuseNulls(inner, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func nullAt(path string) error {
	return fmt.Errorf("%s: null is no value; write one, or leave the entry out", path)
}
