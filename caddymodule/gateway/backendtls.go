package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// BackendTLS says how TLS connections to the backends of a region are made.
type BackendTLS struct {
	// A PEM file of the authorities that sign the backends' certificates, instead
	// of the system's.
	CA string `json:"ca,omitempty"`

	// PEM files of the certificate that the gateway shows, and of its key.
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`

	// The name that the backends' certificates must be for, instead of the host
	// of their address.
	ServerName string `json:"server_name,omitempty"`
}

// check says what is wrong without opening a file.
func (b *BackendTLS) check(backends []string) error {
	switch {
	case (b.Certificate == "") != (b.Key == ""):
		return errors.New("tls: give a certificate and its key, not one of them")
	case b.CA == "" && b.Certificate == "" && b.ServerName == "":
		return errors.New("tls: give a ca, a certificate or a server_name")
	case !slices.ContainsFunc(backends, func(address string) bool {
		return strings.HasPrefix(strings.ToLower(address), "https://")
	}):
		return errors.New("tls: the region has no https backend")
	}
	return nil
}

// config reads the files.
func (b *BackendTLS) config() (*tls.Config, error) {
	config := &tls.Config{ServerName: b.ServerName, MinVersion: tls.VersionTLS12}
	if b.CA != "" {
		pem, err := os.ReadFile(b.CA)
		if err != nil {
			return nil, fmt.Errorf("tls ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls ca %s: no certificate in it", b.CA)
		}
	}
	if b.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(b.Certificate, b.Key)
		if err != nil {
			return nil, fmt.Errorf("tls certificate %s: %w", b.Certificate, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// UnmarshalCaddyfile reads
//
//	tls {
//		ca <file>
//		certificate <file> <key file>
//		server_name <name>
//	}
func (b *BackendTLS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("tls: unexpected %q; it has a block only", d.Val())
	}
	return options.Block(d, options.Table{
		"ca":          func(d *caddyfile.Dispenser) error { return options.String(d, &b.CA) },
		"server_name": func(d *caddyfile.Dispenser) error { return options.String(d, &b.ServerName) },
		"certificate": func(d *caddyfile.Dispenser) error {
			args, err := options.PlainArguments(d, 2, 2)
			if err == nil {
				b.Certificate, b.Key = args[0], args[1]
			}
			return err
		},
	})
}

// backendTLS reads the files of all regions; those without the option have no
// config.
func (a *App) backendTLS() (map[string]*tls.Config, error) {
	configs := make(map[string]*tls.Config)
	var errs []error
	for _, r := range a.Regions {
		if r.TLS == nil {
			continue
		}
		config, err := r.TLS.config()
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
		}
		configs[r.Name] = config
	}
	return configs, errors.Join(errs...)
}
