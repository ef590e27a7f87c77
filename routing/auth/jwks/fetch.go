package jwks

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
)

// maxRedirects is how many redirects a fetch follows, all on the same origin:
// another host could serve keys of its own.
const maxRedirects = 3

// Fetcher gets a JWK Set from where it lies.
type Fetcher interface {
	// Fetch returns the set as JSON, MaxSize bytes at most. Its error has neither
	// credentials nor queries in it, and it ends soon after ctx.
	Fetch(ctx context.Context) ([]byte, error)
	// Location says where the set lies, for people: no credentials, no query.
	Location() string
}

// identified is a Fetcher whose Location does not say everything.
type identified interface{ identity() string }

type urlFetcher struct {
	url      *url.URL
	location string
	client   *http.Client
	guarded  bool
}

// NewURL returns the Fetcher of an http or https URL. A fetch takes status 200
// only, follows at most three redirects on the same scheme, host and port, and
// uses the proxy of the environment. The error never repeats the URL, which may
// hold credentials.
func NewURL(rawURL string) (Fetcher, error) { return newURL(rawURL, nil) }

// NewPublicURL is NewURL for a URL that a tenant wrote: a fetch connects to
// addresses of the internet alone, whatever name, answer of DNS or redirect leads
// elsewhere. It uses no proxy, which would connect in its place.
func NewPublicURL(rawURL string) (Fetcher, error) { return newURL(rawURL, guardedDial(net.Dialer{})) }

type dial func(ctx context.Context, network, address string) (net.Conn, error)

// newURL returns a fetcher that connects by guard and uses no proxy, or, without
// a guard, as the environment says.
func newURL(rawURL string, guard dial) (Fetcher, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("its scheme is not http or https")
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case u.Fragment != "":
		return nil, errors.New("it has a fragment")
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	f := &urlFetcher{url: u, location: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()}
	f.guarded = guard != nil
	proxy := environmentProxy
	if f.guarded {
		proxy = nil
	}
	f.client = &http.Client{
		Transport: &http.Transport{
			Proxy:       proxy,
			DialContext: guard,
			// Minutes lie between two fetches: a kept connection would only be
			// something to close.
			DisableKeepAlives: true,
			// What is not compressed cannot be more than it seems.
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
			Protocols:              protocols,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errTooManyRedirects
			}
			if r.URL.Scheme != u.Scheme || r.URL.Host != u.Host {
				return errForeignRedirect
			}
			return nil
		},
	}
	return f, nil
}

// environmentProxy is http.ProxyFromEnvironment without its errors, which quote
// the variable, credentials included.
func environmentProxy(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("the proxy of the environment is no valid URL")
	}
	return proxy, nil
}

var (
	errTooManyRedirects = fmt.Errorf("it redirects more than %d times", maxRedirects)
	errForeignRedirect  = errors.New("it redirects to another scheme, host or port")
)

func (f *urlFetcher) Location() string { return f.location }

// identity is hashed because a key of a table is printed more easily than the
// value: the URL may have credentials in it.
func (f *urlFetcher) identity() string {
	sum := sha256.Sum256([]byte(f.url.String()))
	if f.guarded { // one that may not be read must not be shared with one that may
		return "public url " + string(sum[:])
	}
	return "url " + string(sum[:])
}

func (f *urlFetcher) Fetch(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url.String(), nil)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", "edgegate")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetching the keys: %w", plain(ctx, err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the keys: the answer has status %d, not 200", response.StatusCode)
	}
	data, err := readAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", plain(ctx, err))
	}
	return data, nil
}

// plain tells why a request failed in words that have no URL in them: the
// library's have the query, and a proxy's address with its password.
func plain(ctx context.Context, err error) error {
	for _, known := range []error{errTooManyRedirects, errForeignRedirect, errTooLarge, errPrivateAddress} {
		if errors.Is(err, known) {
			return known
		}
	}
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var hostname x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &dns):
		return errors.New("the host name cannot be resolved")
	case errors.As(err, &certificate), errors.As(err, &hostname), errors.As(err, &authority):
		return errors.New("the certificate is not trusted")
	case errors.As(err, &op) && op.Op == "dial":
		return errors.New("no connection can be made")
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return errors.New("the proxy cannot be reached")
	}
	return errors.New("the connection broke or the answer is no HTTP")
}

type fileFetcher struct{ path string }

// NewFile returns the Fetcher of a file.
func NewFile(path string) Fetcher {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return &fileFetcher{path: path}
}

func (f *fileFetcher) Location() string { return f.path }

func (f *fileFetcher) Fetch(context.Context) ([]byte, error) {
	// A pipe or a device would block for ever.
	info, err := os.Stat(f.path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, fmt.Errorf("opening the keys: %w", reason(err))
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("opening the keys: %w", reason(err))
	}
	defer file.Close()
	data, err := readAll(file)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", reason(err))
	}
	return data, nil
}

// reason leaves out the path, which the location says already.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

var errTooLarge = fmt.Errorf("it has more than %d bytes", MaxSize)

// readAll reads at most MaxSize bytes.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err == nil && len(data) > MaxSize {
		err = errTooLarge
	}
	return data, err
}
