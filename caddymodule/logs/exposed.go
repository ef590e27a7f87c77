package logs

import (
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Fields of Caddy's lines about requests that have tokens in them. A filter that
// takes both out is as good as the format edge_functions.
const (
	FieldHeaders = "request>headers"
	FieldURI     = "request>uri"
)

// What people are told of a log that is not safe, and what they can do.
const (
	ExposedMessage = "its lines about requests show API keys, tokens of WebSockets and of URLs"
	ExposedRemedy  = "write `log { format edge_functions }` in the global options, and `format edge_functions` in each `log` that has a format of its own"
)

// Exposes reports whether a core writes by an encoder that masks nothing. An
// encoder shows itself to the fields of a context, and writes nothing for it.
func Exposes(core zapcore.Core) bool {
	found := false
	core.With([]zap.Field{zap.Inline(zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		found = found || !masks(enc)
		return nil
	}))})
	return found
}

func masks(enc zapcore.ObjectEncoder) bool {
	switch e := enc.(type) {
	case *Encoder:
		return true
	case logging.FilterEncoder:
		return e.Fields[FieldHeaders] != nil && e.Fields[FieldURI] != nil
	}
	// Others may have ours inside, which then is given what is in an object.
	inside := false
	_ = enc.AddObject("probe", zapcore.ObjectMarshalerFunc(func(inner zapcore.ObjectEncoder) error {
		_, inside = inner.(maskingObject)
		return nil
	}))
	return inside
}
