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

// Mode is how the servers of a Config belong together.
type Mode string

// The modes. The zero value means ModeSingle.
const (
	ModeSingle   Mode = "single"   // one server
	ModeSentinel Mode = "sentinel" // sentinels, which know the master
	ModeCluster  Mode = "cluster"  // some nodes of a cluster, which know the others
)

// Timeouts of a Config that sets none. Dialing includes TLS, and is waited for
// by callers only as long as their contexts allow.
const (
	DefaultDialTimeout = 500 * time.Millisecond
	DefaultReadTimeout = 250 * time.Millisecond
)

// Config says where Redis is and how to reach it. Parse makes one of a URL.
type Config struct {
	Mode      Mode
	Addresses []string // host:port of the server, the sentinels, or some nodes; at least one
	Master    string   // the master's name for ModeSentinel
	DB        int      // the database's number; 0 with ModeCluster
	Username  string   // "" is Redis's default user
	Password  string   // "" logs nobody in
	TLS       bool     // towards all servers, sentinels too

	SentinelPassword string         // what sentinels ask for; default: nothing
	RootCAs          *x509.CertPool // who may have signed the servers' certificates; default: the system's

	DialTimeout time.Duration // default: DefaultDialTimeout
	ReadTimeout time.Duration // of one answer, and of one write; default: DefaultReadTimeout
	PoolSize    int           // connections to one server; default: ten for each processor
}

// Validate returns everything that is wrong, joined.
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

// String is the URL with neither user nor passwords, in the one form that all
// ways to write it have. It is fit for logs and as a name of shared state.
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

// GoString keeps the passwords out of %#v.
func (c Config) GoString() string { return "redisconn.Config(" + c.String() + ")" }

// Location is what people call the place: the addresses alone.
func (c Config) Location() string { return strings.Join(c.Addresses, ",") }

func (c Config) dialTimeout() time.Duration { return cmp.Or(c.DialTimeout, DefaultDialTimeout) }
func (c Config) readTimeout() time.Duration { return cmp.Or(c.ReadTimeout, DefaultReadTimeout) }

// tls returns nil without TLS. A certificate has to be for the host that is
// dialed. Only nodes of a cluster are dialed by addresses that no URL names,
// mostly bare IP addresses: they are asked for the URL's host if it has just one.
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
