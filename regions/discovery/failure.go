package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// lookupError says to an operator why a look-up failed. The errors of package net
// name the name server of the system even when another was asked, and the name more
// than once.
type lookupError struct {
	text  string
	cause error
}

func (e *lookupError) Error() string { return e.text }
func (e *lookupError) Unwrap() error { return e.cause }

// explain returns the error of a look-up; wanted are the records that were asked for,
// such as "SRV record".
func (r *Resolver) explain(ctx context.Context, name, wanted string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	problem, servers := err.Error(), r.servers
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return &lookupError{fmt.Sprintf("%s: the hosts file has no %s of it", strings.TrimSuffix(name, "."), wanted), err}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		problem = problemOf(dns, wanted)
		if servers == "" {
			servers = dns.Server
		}
	}
	if servers != "" {
		problem += " (name server " + servers + ")"
	}
	return &lookupError{fmt.Sprintf("%s: %s", strings.TrimSuffix(name, "."), problem), err}
}

func problemOf(err *net.DNSError, wanted string) string {
	switch {
	case err.IsNotFound:
		return "there is no such name, or it has no " + wanted
	case err.IsTimeout:
		return "no answer in time"
	case strings.Contains(err.Err, "misbehaving") && err.IsTemporary:
		return "the answer is SERVFAIL"
	case strings.Contains(err.Err, "misbehaving"): // the code is not known here
		return "the answer is a failure other than SERVFAIL, such as REFUSED"
	case strings.Contains(err.Err, "invalid names"):
		return "no " + wanted + " has a valid name as its target; an IP address is none"
	case strings.Contains(err.Err, "unmarshal"), strings.Contains(err.Err, "invalid DNS response"):
		return "the answer is no valid DNS message"
	}
	// "dial udp 10.0.0.1:53: connect: connection refused": the end is the reason.
	if i := strings.LastIndex(err.Err, ": "); i >= 0 {
		return err.Err[i+len(": "):]
	}
	return err.Err
}

// isNotFound reports whether a name server or the hosts file said that there is no such
// record, rather than that it could not tell.
func isNotFound(err error) bool {
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return true // the hosts file has addresses of the other family only
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}
