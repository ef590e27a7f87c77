package projects

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions/spelling"
)

// decode fills the struct that target points to with a JSON object that is
// known to be valid, and returns everything that does not fit. Members must be
// named as in the json tags, once; null is as good as absent. unread are the
// paths of values that were not understood and left as they were.
func decode(data []byte, target any) (invalid *InvalidError, unread []string) {
	d := decoder{cursor: cursor{data: data}, invalid: new(InvalidError)}
	d.decode(reflect.ValueOf(target).Elem())
	return d.invalid, d.unread
}

type decoder struct {
	cursor
	path    []step
	invalid *InvalidError
	unread  []string
}

// step is one step of a JSON path, which becomes text only in a message.
type step struct {
	name  string // "" for an index
	index int
}

// fail notes that the value at the present path is not understood.
func (d *decoder) fail(format string, args ...any) {
	if d.invalid.full() {
		d.invalid.More++
		return
	}
	at := d.at()
	d.unread = append(d.unread, at)
	d.invalid.add(Problem{Path: at, Message: fmt.Sprintf(format, args...)})
}

func (d *decoder) at() string {
	var path strings.Builder
	for _, s := range d.path {
		if s.name == "" {
			fmt.Fprintf(&path, "[%d]", s.index)
			continue
		}
		if path.Len() > 0 {
			path.WriteByte('.')
		}
		path.WriteString(s.name)
	}
	return path.String()
}

// unknown notes a member that there is none of. Looking for the nearest match
// costs, and is not done without bounds.
func (d *decoder) unknown(name string, known []string) {
	if d.invalid.full() {
		d.invalid.More++
		return
	}
	p := unknownField(name, known)
	p.Path = d.at()
	d.invalid.add(p)
}

// NotBuilt is said of options whose part comes later.
const NotBuilt = "not in this build; see docs/roadmap.md"

// laterFields are the members of parts that come later.
var laterFields = map[reflect.Type][]string{
	reflect.TypeFor[ProjectConfig]():  {"placement"},
	reflect.TypeFor[FunctionConfig](): {"placement", "replay"},
}

// later notes a member of a part that comes later.
func (d *decoder) later(name string) {
	d.path = append(d.path, step{name: name})
	d.fail(NotBuilt)
	d.path = d.path[:len(d.path)-1]
}

// decode passes the next value and puts it into v.
func (d *decoder) decode(v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if own, ok := reflect.TypeAssert[json.Unmarshaler](v.Addr()); ok {
		d.own(own)
		return
	}
	var want string
	kind := d.kind()
	switch v.Kind() {
	case reflect.Struct:
		if kind == '{' {
			d.object(v)
			return
		}
		want = "an object"
	case reflect.Slice:
		if kind == '[' {
			d.list(v)
			return
		}
		want = "a list"
	case reflect.String:
		if kind == '"' {
			v.SetString(unquote(d.value()))
			return
		}
		want = "a string"
	case reflect.Bool:
		if kind == 't' || kind == 'f' {
			v.SetBool(kind == 't')
			d.value()
			return
		}
		want = "true or false"
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(string(d.value()), 10, 64)
		if err != nil || v.OverflowInt(n) {
			d.fail("must be a whole number")
			return
		}
		v.SetInt(n)
		return
	default:
		panic("a document has no " + v.Kind().String())
	}
	d.value()
	d.fail("must be %s", want)
}

// own has a type read its value itself. time.Time's errors are Go's and not for
// people.
func (d *decoder) own(target json.Unmarshaler) {
	err := target.UnmarshalJSON(d.value())
	if err == nil {
		return
	}
	if _, ok := target.(*time.Time); ok {
		d.fail("must be a time such as 2026-11-05T00:00:00Z (RFC 3339)")
		return
	}
	d.fail("%s", err)
}

func (d *decoder) object(v reflect.Value) {
	shape := shapes[v.Type()]
	var seen uint64 // by field
	for name := range d.members() {
		i, known := shape.index[name]
		switch {
		case known:
		case slices.Contains(laterFields[v.Type()], name):
			d.later(name)
			continue
		default:
			d.unknown(name, shape.names)
			continue
		}
		d.path = append(d.path, step{name: name})
		switch {
		case seen&(1<<i) != 0:
			d.fail("given twice")
		case d.kind() != 'n':
			d.decode(v.Field(i))
		}
		seen |= 1 << i
		d.path = d.path[:len(d.path)-1]
	}
}

func (d *decoder) list(v reflect.Value) {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for i := range d.elements() {
		d.path = append(d.path, step{index: i})
		if v.Len() == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(i + 1)
		if d.kind() == 'n' {
			d.fail("must not be null")
		} else {
			d.decode(v.Index(i))
		}
		d.path = d.path[:len(d.path)-1]
	}
}

// shape describes the JSON form of a struct.
type shape struct {
	names []string
	index map[string]int
}

// shapes are those of every struct in a document that is read field by field.
var shapes = func() map[reflect.Type]shape {
	all := make(map[reflect.Type]shape)
	for _, t := range []reflect.Type{
		reflect.TypeFor[OrganizationConfig](), reflect.TypeFor[ProjectConfig](), reflect.TypeFor[JWTConfig](),
		reflect.TypeFor[APIKeyConfig](), reflect.TypeFor[CORSConfig](), reflect.TypeFor[FunctionConfig](),
	} {
		s := shape{index: make(map[string]int, t.NumField())}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			s.names = append(s.names, name)
			s.index[name] = i
		}
		all[t] = s
	}
	return all
}()

// unknownField returns the name that was probably meant, or the list of names.
func unknownField(name string, known []string) Problem {
	message := "unknown field " + quoted(name)
	if hint := spelling.DidYouMean(name, known); hint != "" {
		return Problem{Message: message + hint}
	}
	return Problem{Message: fmt.Sprintf("%s: allowed are %s", message, strings.Join(known, ", "))}
}
