package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions/spelling"
)

func init() {
	caddy.RegisterModule(new(Encoder))
}

const encoderNamespace = "caddy.logging.encoders"

// Encoder writes log lines without secrets (contract 8.27): values
// of headers other than a few harmless ones, and tokens, keys and passwords in
// URLs and in any other text, are REDACTED. As the format of the default log it
// holds for every line of the process, Caddy's access and error logs included.
//
// It is a format because Caddy lets modules in nowhere else: logs are opened
// before apps are made, the adapter of Caddyfiles keeps its logs to itself, and
// what is logged of a request is copied before any handler sees it. A log with
// another format is said at the start, and found by `edgegate audit`.
type Encoder struct {
	// How lines are written. Default: json, or console on a terminal. A filter
	// belongs in here, not round it.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	maskingObject `json:"-"` // writes the context of loggers into wrapped

	wrapped zapcore.Encoder
	ctx     caddy.Context
}

// CaddyModule returns the Caddy module information.
func (*Encoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  encoderNamespace + ".edge_functions",
		New: func() caddy.Module { return new(Encoder) },
	}
}

// Provision loads the encoder that lines are written with.
func (e *Encoder) Provision(ctx caddy.Context) error {
	e.ctx = ctx
	if e.WrappedRaw == nil {
		return e.useDefault(new(logging.JSONEncoder))
	}
	module, err := ctx.LoadModule(e, "WrappedRaw")
	if err != nil {
		return fmt.Errorf("loading the encoder that edge_functions wraps: %w", err)
	}
	e.wrap(module.(zapcore.Encoder))
	return nil
}

// ownEncoder is one of Caddy's encoders.
type ownEncoder interface {
	zapcore.Encoder
	caddy.Provisioner
}

func (e *Encoder) useDefault(encoder ownEncoder) error {
	if err := encoder.Provision(e.ctx); err != nil {
		return fmt.Errorf("making the default encoder: %w", err)
	}
	e.wrap(encoder)
	return nil
}

func (e *Encoder) wrap(encoder zapcore.Encoder) {
	e.wrapped, e.maskingObject = encoder, maskingObject{ObjectEncoder: encoder}
}

// ConfigureDefaultFormat implements caddy.ConfiguresFormatterDefault: people
// who read a terminal get the format for people.
func (e *Encoder) ConfigureDefaultFormat(writer caddy.WriterOpener) error {
	if e.WrappedRaw != nil {
		if inner, ok := e.wrapped.(caddy.ConfiguresFormatterDefault); ok {
			return inner.ConfigureDefaultFormat(writer)
		}
		return nil
	}
	if caddy.IsWriterStandardStream(writer) && term.IsTerminal(int(os.Stderr.Fd())) {
		return e.useDefault(new(logging.ConsoleEncoder))
	}
	return nil
}

// Clone implements zapcore.Encoder.
func (e *Encoder) Clone() zapcore.Encoder {
	clone := new(Encoder)
	clone.wrap(e.wrapped.Clone())
	return clone
}

// EncodeEntry implements zapcore.Encoder.
func (e *Encoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	entry.Message, entry.Stack = Mask(entry.Message), Mask(entry.Stack)
	if len(fields) == 0 {
		return e.wrapped.EncodeEntry(entry, nil)
	}
	all := zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		for _, field := range fields {
			field.AddTo(enc)
		}
		return nil
	})
	return e.wrapped.EncodeEntry(entry, []zapcore.Field{zap.Inline(maskingMarshaler{all, false})})
}

// UnmarshalCaddyfile reads
//
//	edge_functions {
//		wrap <encoder>
//	}
func (e *Encoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("format edge_functions: unexpected %q; write `format edge_functions` or `format edge_functions { wrap console }`", d.Val())
	}
	return options.Block(d, options.Table{"wrap": func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.Errf("wrap: the encoder is missing; write `%s`", options.Form("wrap"))
		}
		name, names := d.Val(), options.ModuleNames(encoderNamespace)
		if !slices.Contains(names, name) {
			return d.Errf("wrap %q: allowed are %s%s", name, strings.Join(names, ", "), spelling.DidYouMean(name, names))
		}
		encoder, err := caddyfile.UnmarshalModule(d, encoderNamespace+"."+name)
		if err != nil {
			return err
		}
		e.WrappedRaw = caddyconfig.JSONModuleObject(encoder, "format", name, nil)
		return nil
	}})
}

// maskingObject passes on what it is given, without secrets.
type maskingObject struct {
	zapcore.ObjectEncoder
	headers bool // the keys are names of headers
}

// maskingMarshaler has an object write itself through a maskingObject.
type maskingMarshaler struct {
	zapcore.ObjectMarshaler
	headers bool
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (m maskingMarshaler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return m.ObjectMarshaler.MarshalLogObject(maskingObject{enc, m.headers})
}

// value returns what may be shown of a text under the key.
func (m maskingObject) value(key, text string) string {
	if m.hides(key) {
		return redacted
	}
	return Mask(text)
}

func (m maskingObject) hides(key string) bool {
	key = strings.ToLower(key)
	return secretNames[key] || m.headers && !shownHeaders[key]
}

// AddString implements zapcore.ObjectEncoder.
func (m maskingObject) AddString(key, value string) {
	m.ObjectEncoder.AddString(key, m.value(key, value))
}

// AddByteString implements zapcore.ObjectEncoder.
func (m maskingObject) AddByteString(key string, value []byte) {
	m.ObjectEncoder.AddString(key, m.value(key, string(value)))
}

// AddBinary implements zapcore.ObjectEncoder. Bytes cannot be judged.
func (m maskingObject) AddBinary(key string, value []byte) {
	m.ObjectEncoder.AddString(key, fmt.Sprintf("%d bytes", len(value)))
}

// AddArray implements zapcore.ObjectEncoder. The names of headers are what a
// client made up, too.
func (m maskingObject) AddArray(key string, array zapcore.ArrayMarshaler) error {
	if m.hides(key) {
		array = zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
			enc.AppendString(redacted)
			return nil
		})
	}
	if m.headers {
		key = Mask(key)
	}
	return m.ObjectEncoder.AddArray(key, maskingArray{array})
}

// AddObject implements zapcore.ObjectEncoder.
func (m maskingObject) AddObject(key string, object zapcore.ObjectMarshaler) error {
	return m.ObjectEncoder.AddObject(key, maskingMarshaler{object, isHeaders(key, object)})
}

// isHeaders finds headers by Caddy's type for them, and by the usual names of
// the field where another encoder hides the type.
func isHeaders(key string, value any) bool {
	switch value.(type) {
	case caddyhttp.LoggableHTTPHeader, *caddyhttp.LoggableHTTPHeader, http.Header:
		return true
	}
	key = strings.ToLower(key)
	return key == "headers" || strings.HasSuffix(key, "_headers")
}

// AddReflected implements zapcore.ObjectEncoder.
func (m maskingObject) AddReflected(key string, value any) error {
	safe, err := m.reflected(key, value)
	if err != nil {
		return err
	}
	return m.ObjectEncoder.AddReflected(key, safe)
}

// reflected masks a value by way of its JSON, which is how it would be written.
func (m maskingObject) reflected(key string, value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding a field of the log: %w", err)
	}
	var decoded any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("decoding a field of the log: %w", err)
	}
	return m.member(key, decoded, isHeaders(key, value)), nil
}

// member masks what stands under a key of decoded JSON.
func (m maskingObject) member(key string, value any, headers bool) any {
	switch v := value.(type) {
	case string:
		return m.value(key, v)
	case []any:
		if m.hides(key) {
			return []any{redacted}
		}
		for i := range v {
			v[i] = m.member(key, v[i], headers)
		}
	case map[string]any:
		for name, inner := range v {
			v[name] = maskingObject{headers: headers}.member(name, inner, isHeaders(name, nil))
		}
	}
	return value
}

// maskingArray has an array write itself without secrets.
type maskingArray struct{ zapcore.ArrayMarshaler }

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (a maskingArray) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	return a.ArrayMarshaler.MarshalLogArray(maskingElements{enc})
}

type maskingElements struct{ zapcore.ArrayEncoder }

func (m maskingElements) AppendString(value string) { m.ArrayEncoder.AppendString(Mask(value)) }
func (m maskingElements) AppendByteString(value []byte) {
	m.ArrayEncoder.AppendString(Mask(string(value)))
}

func (m maskingElements) AppendArray(array zapcore.ArrayMarshaler) error {
	return m.ArrayEncoder.AppendArray(maskingArray{array})
}

func (m maskingElements) AppendObject(object zapcore.ObjectMarshaler) error {
	return m.ArrayEncoder.AppendObject(maskingMarshaler{object, isHeaders("", object)})
}

func (m maskingElements) AppendReflected(value any) error {
	safe, err := maskingObject{}.reflected("", value)
	if err != nil {
		return err
	}
	return m.ArrayEncoder.AppendReflected(safe)
}

// Interface guards
var (
	_ zapcore.Encoder                  = (*Encoder)(nil)
	_ caddy.Provisioner                = (*Encoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*Encoder)(nil)
	_ caddyfile.Unmarshaler            = (*Encoder)(nil)
)
