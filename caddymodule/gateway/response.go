package gateway

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/plan"
	"github.com/edgegate/edgegate/routing/rewrite"
)

// modifyResponse applies the header policy to a backend's answer
// (contract 2.7, 2.8, 4.3, 5.27, 6.3, 6.4).
func (c *call) modifyResponse(res *http.Response) error {
	if !c.isFinalStatus(res.StatusCode) {
		return routing.ErrInvalidStatus
	}
	c.head.Expect(res.ContentLength)
	header := res.Header
	c.meter.status, c.record.answered, c.record.head = res.StatusCode, true, time.Now()
	c.setCommonHeaders(header)
	c.setRegionHeaders(header)
	if header.Get(headerServedBy) == "" {
		header.Set(headerServedBy, defaultServedBy)
	}
	if header.Get("Server") != "" {
		c.w.Header().Del("Server")
	}
	c.allowOrigin(header)
	if c.inv.SharedHost {
		rewrite.SharedHost(header, res.StatusCode)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil // the body is a connection: nothing of it may be read here
	}
	c.closeUnlessEnded()
	addErrorCode(res)
	if c.inv.PlainHTML {
		serveHTMLAsText(res)
	}
	if len(header.Values("Content-Type")) == 0 {
		// Present but nil keeps net/http from sniffing one (contract 6.7).
		c.w.Header()["Content-Type"] = nil
	}
	rewrite.Trailer(res.Trailer)
	res.Body = &trailerFilter{ReadCloser: &countedBody{res.Body, &c.meter}, res: res}
	return nil
}

// isFinalStatus reports whether a status of a backend may be the status of the answer
// (contract 5.13). net/http panics on those below 100.
func (c *call) isFinalStatus(status int) bool {
	if status == http.StatusSwitchingProtocols {
		return routing.IsWebSocket(c.r.Method, c.r.Header)
	}
	return status >= 200 && status < 600
}

// setRegionHeaders sets the headers with the region of the invocation, the reason for
// it and, if the request asked for it with the debug secret, an explanation.
func (c *call) setRegionHeaders(header http.Header) {
	header.Set(regions.HeaderRegion, c.region())
	header.Set(headerReason, string(c.reason()))
	setOrDelete(header, headerDebug, c.debug)
}

// region returns the name of the region that the call was sent to last. If no region
// was available, it is the first one of the plan; it is "" before there is a plan.
func (c *call) region() string {
	switch {
	case c.exchange != nil && c.exchange.Region != nil:
		return c.exchange.Region.Name
	case c.inv.Plan.Unavailable && len(c.inv.Plan.Candidates) > 0:
		return c.inv.Plan.First().Name
	}
	return ""
}

func (c *call) reason() regions.Reason {
	if c.exchange != nil {
		return c.exchange.Reason
	}
	return c.inv.Plan.Candidates[0].Reason
}

// addErrorCode adds sb-error-code to a failed answer (contract 5.28).
func addErrorCode(res *http.Response) {
	if res.StatusCode < 500 || res.Header.Get(headerErrorCode) != "" {
		return
	}
	var body []byte
	if routing.MayHaveErrorCode(res.Header.Get("Content-Type"), res.ContentLength) {
		var err error
		body, err = io.ReadAll(io.LimitReader(res.Body, routing.MaxErrorBody+1))
		res.Body = &prefixedBody{ReadCloser: res.Body, prefix: bytes.NewReader(body), err: err}
	}
	res.Header.Set(headerErrorCode, routing.ErrorCode(res.StatusCode, body))
}

// serveHTMLAsText changes the content type of HTML to text/plain, also if only the
// body shows that it is HTML.
func serveHTMLAsText(res *http.Response) {
	switch rewrite.Header(res.Header) {
	case rewrite.Keep:
	case rewrite.Plain:
		rewrite.MakePlain(res.Header)
	case rewrite.SniffBody:
		if sniffHTML(res) {
			rewrite.MakePlain(res.Header)
		} else {
			rewrite.NoSniff(res.Header)
		}
	}
}

// sniffHTML reports whether the body looks like HTML. It reads only as much of the body
// as it needs for that.
func sniffHTML(res *http.Response) bool {
	var (
		prefix = make([]byte, 0, rewrite.SniffLength)
		err    error
		html   bool
	)
	for decided := false; !decided; {
		var n int
		n, err = res.Body.Read(prefix[len(prefix):cap(prefix)])
		prefix = prefix[:len(prefix)+n]
		html, decided = rewrite.Sniff(prefix, err != nil)
	}
	res.Body = &prefixedBody{ReadCloser: res.Body, prefix: bytes.NewReader(prefix), err: err}
	return html
}

// prefixedBody is a body of which a prefix was read already.
type prefixedBody struct {
	io.ReadCloser
	prefix *bytes.Reader
	err    error // error of reading the prefix, returned after it
}

func (p *prefixedBody) Read(b []byte) (int, error) {
	if p.prefix.Len() > 0 {
		return p.prefix.Read(b)
	}
	if p.err != nil {
		return 0, p.err
	}
	return p.ReadCloser.Read(b)
}

// trailerFilter removes trailers that may only be headers, also from trailers that were
// not announced.
type trailerFilter struct {
	io.ReadCloser
	res *http.Response
}

func (t *trailerFilter) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if err == io.EOF {
		rewrite.Trailer(t.res.Trailer)
	}
	return n, err
}

// headerDebug brings the debug secret, and takes the decision back.
const headerDebug = "X-Sb-Debug"

// minDebugSecret is the smallest debug secret, in bytes.
const minDebugSecret = 16

func (a *App) provisionDebug() error {
	if a.DebugSecret == "" {
		return nil
	}
	secret, err := ResolveKey(a.DebugSecret)
	if err == nil && len(secret) < minDebugSecret {
		err = errors.New("it is too short; `openssl rand -base64 24` makes one")
	}
	if err != nil {
		return fmt.Errorf("debug_secret: %w", err)
	}
	hash := sha256.Sum256([]byte(secret))
	a.debugHash = hash[:]
	return nil
}

// mayDebug reports whether the request brings the debug secret.
func (a *App) mayDebug(header http.Header) bool {
	said := header[headerDebug]
	if a.debugHash == nil || len(said) != 1 {
		return false
	}
	hash := sha256.Sum256([]byte(said[0]))
	return subtle.ConstantTimeCompare(hash[:], a.debugHash) == 1
}

// explainCall returns the decision over a call as JSON for a header, "" if the
// caller may not know.
func (c *call) explainCall() string {
	app := c.handler.app
	if !app.mayDebug(c.r.Header) {
		return ""
	}
	explanation, err := app.pipeline.Explain(app.network.View(), &plan.Query{
		Hint:      c.inv.Hint,
		Residency: c.inv.Project.Regions,
		Client:    app.client(c.r),
		ID:        c.inv.ID,
		Tenant:    c.inv.Tenant,
		Socket:    c.inv.Socket,
	})
	if err != nil {
		return ""
	}
	text, err := json.Marshal(explanation)
	if err != nil {
		return ""
	}
	return string(text)
}
