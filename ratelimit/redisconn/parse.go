package redisconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const urlForm = "redis://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...][/DB][?mode=cluster | ?mode=sentinel&master=NAME], or rediss:// for TLS"

// parameters are the names that may follow the question mark.
var parameters = []string{"mode", "master", "sentinel_password"}

// Parse reads the URL of `store redis` (docs/caddyfile.md):
//
//	redis://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][/DB]?mode=cluster|sentinel|single&master=NAME&sentinel_password=PASSWORD
//
// rediss is the same over TLS. The port defaults to 6379, for sentinels to
// 26379, the database to 0, the mode to single. User, passwords and name are
// percent-decoded; `:PASSWORD@` is the default user's. Errors say what to write
// instead and never contain what stands before the @, nor a password.
func Parse(text string) (Config, error) {
	var c Config
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "redis" && scheme != "rediss" {
		return Config{}, errors.New("reading the Redis URL: must be " + urlForm)
	}
	c.TLS = scheme == "rediss"
	if strings.ContainsRune(rest, '#') {
		return Config{}, errors.New("reading the Redis URL: a # in a password is written %23")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		if err := c.parseUser(authority[:at]); err != nil {
			return Config{}, fmt.Errorf("reading the Redis URL: %w", err)
		}
	} else if strings.ContainsRune(path+query, '@') {
		return Config{}, errors.New("reading the Redis URL: a / in a password is written %2F, a ? %3F, and an @ in a parameter %40")
	}
	err := errors.Join(c.parseQuery(query), c.parseHosts(hosts), c.parseDB(path))
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading the Redis URL: %w", err)
	}
	return c, nil
}

// parseUser reads what stands before the @.
func (c *Config) parseUser(text string) error {
	user, password, found := strings.Cut(text, ":")
	var err error
	if c.Username, err = url.PathUnescape(user); err == nil {
		c.Password, err = url.PathUnescape(password)
	}
	switch {
	case err != nil:
		// not wrapped: err quotes the password
		return errors.New("user and password are percent-encoded: a % itself is written %25")
	case !found:
		return errors.New("a password alone is written :PASSWORD@, a user USER:PASSWORD@")
	case c.Password == "":
		return errors.New("the password is empty: leave out what stands before the @, or check the variable it comes from")
	}
	return nil
}

// parseQuery reads what stands behind the question mark.
func (c *Config) parseQuery(query string) error {
	if query == "" {
		return nil
	}
	var errs []error
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(query, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(raw)
		switch {
		case !slices.Contains(parameters, name):
			errs = append(errs, unknownParameter(name))
			continue
		case seen[name]:
			errs = append(errs, fmt.Errorf("parameter %s: given twice", name))
			continue
		case err != nil:
			errs = append(errs, fmt.Errorf("parameter %s: is percent-encoded, a %% itself is written %%25", name))
			continue
		case value == "":
			errs = append(errs, fmt.Errorf("parameter %s: is empty", name))
			continue
		}
		seen[name] = true
		switch name {
		case "mode":
			c.Mode = Mode(value)
		case "master":
			c.Master = value
		case "sentinel_password":
			c.SentinelPassword = value
		}
	}
	return errors.Join(errs...)
}

// unknownParameter returns the error for a name that is none. It quotes only the
// beginning of a near miss: the text may be a part of a password that has an &.
func unknownParameter(name string) error {
	for _, known := range parameters {
		if strings.EqualFold(name, known) || len(name) > 2 && strings.HasPrefix(known, strings.ToLower(name[:3])) {
			return fmt.Errorf("unknown parameter that begins with %q: did you mean %s?", name[:3], known)
		}
	}
	switch strings.ToLower(name) {
	case "db":
		return errors.New("unknown parameter db: the database is the path, as in redis://HOST:6379/1")
	case "tls", "ssl":
		return errors.New("unknown parameter " + strings.ToLower(name) + ": write rediss:// for TLS")
	}
	return fmt.Errorf("unknown parameter: allowed are %s", strings.Join(parameters, ", "))
}

// parseHosts reads the hosts; the default port depends on the mode.
func (c *Config) parseHosts(hosts string) error {
	var errs []error
	port := "6379"
	if c.Mode == ModeSentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		address, err := withPort(strings.TrimSpace(host), port)
		switch {
		case err != nil:
			errs = append(errs, err)
		case slices.Contains(c.Addresses, address):
			errs = append(errs, fmt.Errorf("host %q: listed twice", host))
		default:
			c.Addresses = append(c.Addresses, address)
		}
	}
	return errors.Join(errs...)
}

// withPort returns a host as HOST:PORT.
func withPort(host, standard string) (string, error) {
	name, port := host, standard
	if inner, ok := strings.CutPrefix(host, "["); ok {
		end := strings.IndexByte(inner, ']')
		if end < 0 || net.ParseIP(inner[:end]) == nil {
			return "", fmt.Errorf("host %q: an IPv6 address is written [::1]:6379", host)
		}
		name = inner[:end]
		if after := inner[end+1:]; after != "" {
			if port, ok = strings.CutPrefix(after, ":"); !ok {
				return "", fmt.Errorf("host %q: an IPv6 address is written [::1]:6379", host)
			}
		}
	} else if before, after, ok := strings.Cut(host, ":"); ok {
		name, port = before, after
		if strings.Contains(after, ":") {
			// not quoted: it may be user and password of a URL without host
			return "", errors.New("a host has several colons: an IPv6 address is written [::1]:6379, a password :PASSWORD@HOST")
		}
	}
	switch {
	case name == "":
		return "", errors.New("a host is missing: write redis://HOST:6379")
	case strings.ContainsAny(name, " \t\r\n\x00\"'\\%"):
		return "", errors.New("a host must be a bare name or address")
	case !validPort(port):
		return "", fmt.Errorf("host %q: the port must be a number from 1 to 65535", name)
	}
	return net.JoinHostPort(name, port), nil
}

// parseDB reads the path.
func (c *Config) parseDB(path string) error {
	if path == "" {
		return nil
	}
	n, err := strconv.Atoi(path)
	if err != nil || n < 0 {
		return errors.New("the path must be the number of a database, as in redis://HOST:6379/1")
	}
	c.DB = n
	return nil
}
