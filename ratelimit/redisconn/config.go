package redisconn

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Mode is the kind of deployment that a Config reaches.
type Mode string

// The modes. The zero value means ModeSingle.
const (
	ModeSingle   Mode = "single"   // one server
	ModeSentinel Mode = "sentinel" // a master, by sentinels that know it
	ModeCluster  Mode = "cluster"  // a cluster, by some of its nodes
)

// The timeouts of a Config that sets none. The one of dialing includes the handshake
// of TLS; a caller waits for it only as long as its context allows.
const (
	DefaultDialTimeout = 500 * time.Millisecond
	DefaultReadTimeout = 250 * time.Millisecond
)

// Config tells where Redis is and how to reach it. Parse makes one of a URL.
type Config struct {
	Mode      Mode     // default: ModeSingle
	Addresses []string // host:port of the server, the sentinels, or some nodes; at least one
	Master    string   // the master's name; for ModeSentinel alone
	DB        int      // the database's number; 0 with ModeCluster
	Username  string   // default: Redis's default user
	Password  string   // default: no login
	TLS       bool     // to all servers, sentinels included

	SentinelPassword string         // of the sentinels; default: no login
	RootCAs          *x509.CertPool // that sign the servers' certificates; default: the system's

	DialTimeout time.Duration // default: DefaultDialTimeout
	ReadTimeout time.Duration // of one answer, and of sending one command; default: DefaultReadTimeout
	PoolSize    int           // connections to one server; default: ten for each processor
}

// Validate returns all mistakes of a Config, joined; each says what to write instead.
func (c Config) Validate() error {
	var errs []error
	if len(c.Addresses) == 0 {
		errs = append(errs, errors.New("no address: write redis://HOST:6379"))
	}
	for _, address := range c.Addresses {
		if _, port, err := net.SplitHostPort(address); err != nil || !validPort(port) {
			errs = append(errs, fmt.Errorf("address %q: must be HOST:PORT", address))
		}
	}
	switch c.Mode {
	case "", ModeSingle:
		if len(c.Addresses) > 1 {
			errs = append(errs, fmt.Errorf("%d addresses: several need mode=cluster, or mode=sentinel and master=NAME", len(c.Addresses)))
		}
	case ModeSentinel:
		if c.Master == "" {
			errs = append(errs, errors.New("mode=sentinel needs master=NAME, the name in the sentinels' `sentinel monitor NAME ...`"))
		}
	case ModeCluster:
		if c.DB != 0 {
			errs = append(errs, fmt.Errorf("database %d: a cluster has only database 0, leave the path out", c.DB))
		}
	default:
		errs = append(errs, fmt.Errorf("mode %q: allowed are single, sentinel, cluster", c.Mode))
	}
	if c.Mode != ModeSentinel && (c.Master != "" || c.SentinelPassword != "") {
		errs = append(errs, errors.New("master and sentinel_password need mode=sentinel"))
	}
	if c.DB < 0 {
		errs = append(errs, fmt.Errorf("database %d: must not be negative", c.DB))
	}
	if c.Username != "" && c.Password == "" {
		errs = append(errs, fmt.Errorf("user %q has no password: write USER:PASSWORD@", c.Username))
	}
	if c.DialTimeout < 0 || c.ReadTimeout < 0 {
		errs = append(errs, errors.New("timeouts must not be negative"))
	}
	return errors.Join(errs...)
}

// String returns the URL without user and passwords, with all defaults written out or
// left out alike: two Configs of one Redis have one String. It is fit for logs, and as
// the name of state that belongs to a Redis.
func (c Config) String() string {
	var b strings.Builder
	b.WriteString("redis")
	if c.TLS {
		b.WriteByte('s')
	}
	b.WriteString("://")
	b.WriteString(strings.Join(c.Addresses, ","))
	if c.DB != 0 {
		b.WriteByte('/')
		b.WriteString(strconv.Itoa(c.DB))
	}
	if mode := cmp.Or(c.Mode, ModeSingle); mode != ModeSingle {
		b.WriteString("?mode=" + string(mode))
	}
	if c.Master != "" {
		b.WriteString("&master=" + url.QueryEscape(c.Master))
	}
	return b.String()
}

// GoString is String for %#v, which would show the passwords.
func (c Config) GoString() string { return "redisconn.Config(" + c.String() + ")" }

// Location returns the addresses alone, separated by commas.
func (c Config) Location() string { return strings.Join(c.Addresses, ",") }

func (c Config) dialTimeout() time.Duration { return cmp.Or(c.DialTimeout, DefaultDialTimeout) }
func (c Config) readTimeout() time.Duration { return cmp.Or(c.ReadTimeout, DefaultReadTimeout) }

// tls returns the settings of TLS, nil without it. A certificate must be for the host
// that is dialed. Nodes of a cluster tell addresses that are not in the URL, mostly
// bare IP addresses: their certificates must be for the URL's host, if it has just one.
func (c Config) tls() *tls.Config {
	if !c.TLS {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs}
	if c.Mode == ModeCluster && len(c.Addresses) == 1 {
		config.ServerName, _, _ = net.SplitHostPort(c.Addresses[0])
	}
	return config
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
