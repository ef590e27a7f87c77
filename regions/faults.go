package regions

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
)

// faults keeps the last errors of a backend as texts for operators: of the last
// failed probe and of the last connection that could not be made. It is safe for
// concurrent use.
type faults struct{ probe, dial atomic.Pointer[string] }

// noteProbe records the error of a failed probe.
func (f *faults) noteProbe(err error) { note(&f.probe, err) }

// noteDial records the error of a connection that could not be made.
func (f *faults) noteDial(err error) { note(&f.dial, err) }

func note(into *atomic.Pointer[string], err error) {
	text := faultWords(err)
	into.Store(&text)
}

// why returns the reason why a backend is down, "" if it is not.
func (f *faults) why(open, failing bool) string {
	switch {
	case failing:
		return "probes fail: " + said(&f.probe)
	case open:
		return "calls are held back after failures: " + said(&f.dial)
	}
	return ""
}

func said(f *atomic.Pointer[string]) string {
	if text := f.Load(); text != nil {
		return *text
	}
	return "connections broke"
}

// faultWords describes an error without quoting the backend's bytes, which
// net/http does.
func faultWords(err error) string {
	if status, ok := errors.AsType[statusError](err); ok {
		return fmt.Sprintf("status %d", int(status))
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer in time"
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is not for " + name.Host
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is of an unknown authority"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not valid"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + " " + op.Err.Error()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection was closed before an answer"
	}
	return "the connection broke, or its answer was no HTTP"
}

// statusError is the status of a probe's answer that is not a pass.
type statusError int

// Error implements error.
func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }
