package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
)

// maxOrder bounds the body of an order, in bytes.
const maxOrder = 1 << 16

// decodeOrder reads the body of an order, which it returns too. Fields that the order
// does not have and anything after it are an error: a typing error must not change
// another thing than was meant.
func decodeOrder(r *http.Request, order any) (body []byte, err error) {
	if body, err = io.ReadAll(io.LimitReader(r.Body, maxOrder+1)); err != nil {
		return nil, err
	}
	if len(body) > maxOrder {
		return nil, fmt.Errorf("it is longer than %d bytes", maxOrder)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(order)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil, wrongType(wrong)
	}
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the object")
	}
	return body, nil
}

// kindWords are the kinds of values that are no numbers, in the words of JSON.
var kindWords = map[reflect.Kind]string{
	reflect.String: "a string",
	reflect.Bool:   "true or false",
	reflect.Struct: "an object",
	reflect.Map:    "an object",
}

// wrongType says in the words of JSON which field has a value of another type.
func wrongType(err *json.UnmarshalTypeError) error {
	field := cmp.Or(err.Field, "the body")
	want := cmp.Or(kindWords[err.Type.Kind()], "a whole number")
	return fmt.Errorf("%s: must be %s, not %s", field, want, err.Value)
}
