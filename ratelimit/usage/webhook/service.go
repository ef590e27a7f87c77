// Package webhook sends lines as CloudEvents to an HTTP endpoint: in batches, signed
// after the Standard Webhooks convention, each change of a line as an event of its
// own. It decides what the endpoint is told; usage comes to it as lines.
//
//	service, err := webhook.New(webhook.Config{Title: "billing", URL: url, Secrets: secrets})
//	outbox := &usage.Outbox{Store: store, Pages: store.Pages(), Now: time.Now}
//	result, err := outbox.Run(ctx, service)
//
// An endpoint may get an event several times, always with the same id.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// DefaultBatch is how many events a batch has at most.
	DefaultBatch = 100
	// callWait bounds a call.
	callWait = 20 * time.Second
	// maxSaid bounds how much of an answer is kept, in bytes.
	maxSaid = 300
)

// Config configures the service.
type Config struct {
	Title   string   // the name of the sink; it must stay the same over restarts
	URL     string   // http or https
	Secrets []string // of Standard Webhooks, as whsec_BASE64; a batch is signed with each
	Bearer  string   // for the Authorization header; "" for none
	Batch   int      // events in a batch; default: DefaultBatch
	// Remembers is how long the endpoint recognizes the id of an event; 0: for ever.
	Remembers time.Duration
	Now       func() time.Time // default: time.Now
}

// Service implements [usage.Service].
type Service struct {
	config Config
	keys   []*standardwebhooks.Webhook
	client *http.Client
}

// New returns the service. It fails for a secret that is not one. It calls nobody
// yet.
func New(config Config) (*Service, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Batch == 0 {
		config.Batch = DefaultBatch
	}
	s := &Service{config: config, client: &http.Client{
		Timeout: callWait,
		// An endpoint must not direct usage elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, secret := range config.Secrets {
		key, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, errors.New("a secret of Standard Webhooks is base64, with whsec_ in front: make one with `echo whsec_$(openssl rand -base64 32)`")
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// Name implements usage.Sink.
func (s *Service) Name() string { return s.config.Title }

// MaxBatch implements usage.Sink.
func (s *Service) MaxBatch() int { return s.config.Batch }

// Guarantee implements usage.Sink.
func (s *Service) Guarantee() string {
	if s.config.Remembers == 0 {
		return "each change of a line arrives at least once, always with the same id"
	}
	return fmt.Sprintf("each change of a line counts once; what is not answered for %d days is not sent again but rejected", s.config.Remembers/(24*time.Hour))
}

// MessageName implements usage.NamedMessages: the id of its event.
func (*Service) MessageName(m *usage.Message) string { return eventID(m) }

// Span implements usage.Service: there may be thousands of lines of an hour.
func (*Service) Span() time.Duration { return time.Hour }

// Prepare implements usage.Service.
func (*Service) Prepare(context.Context) error { return nil }

// Items implements usage.Service.
func (*Service) Items(lines []usage.Line) []usage.Item {
	items := make([]usage.Item, len(lines))
	for i := range lines {
		l := &lines[i]
		items[i] = usage.Item{
			ID:      l.LineID,
			Account: l.AccountID,
			Start:   l.WindowStart,
			End:     l.WindowEnd,
			Value:   l.Quantity,
			Amount:  l.AmountMinor,
			Line:    l,
		}
	}
	return items
}

// Send implements usage.Service.
func (s *Service) Send(ctx context.Context, messages []usage.Message) (verdicts []usage.Verdict, err error) {
	for start := 0; start < len(messages); {
		if v, lost := s.lost(&messages[start]); lost {
			verdicts, start = append(verdicts, v), start+1
			continue
		}
		end := start + 1
		for end < len(messages) {
			if _, lost := s.lost(&messages[end]); lost {
				break
			}
			end++
		}
		part, err := s.tell(ctx, messages[start:end])
		verdicts = append(verdicts, part...)
		if err != nil {
			return verdicts, err
		}
		start = end
	}
	return verdicts, nil
}

// tell sends a batch. If the endpoint refuses it, tell sends its halves, so that one
// bad event does not hold up the others.
func (s *Service) tell(ctx context.Context, messages []usage.Message) ([]usage.Verdict, error) {
	against, err := s.post(ctx, messages)
	switch {
	case err != nil:
		return nil, err
	case against == "":
		return make([]usage.Verdict, len(messages)), nil
	case len(messages) == 1:
		return []usage.Verdict{{Rejected: against}}, nil
	}
	verdicts, err := s.tell(ctx, messages[:len(messages)/2])
	if err != nil {
		return verdicts, err
	}
	rest, err := s.tell(ctx, messages[len(messages)/2:])
	return append(verdicts, rest...), err
}

// lost reports whether a message may have arrived so long ago that the endpoint
// would not recognize it.
func (s *Service) lost(m *usage.Message) (v usage.Verdict, lost bool) {
	if s.config.Remembers == 0 || m.Tries <= 1 || s.config.Now().Sub(m.First) < s.config.Remembers {
		return v, false
	}
	return usage.Verdict{
		Rejected: fmt.Sprintf("it is not known whether it arrived: the answer is missing since %s, and events are known again for %d days",
			m.First.Format(time.RFC3339), s.config.Remembers/(24*time.Hour)),
	}, true
}

// post sends a batch. If the endpoint refuses it for its content, against tells why.
func (s *Service) post(ctx context.Context, messages []usage.Message) (against string, err error) {
	body, id, err := encode(messages)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.URL, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "edgegate")
	if s.config.Bearer != "" {
		r.Header.Set("Authorization", "Bearer "+s.config.Bearer)
	}
	if err := s.sign(r.Header, id, body); err != nil {
		return "", err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return "", hidden(err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxSaid)) // it is only shown
	return judge(answer, strings.ToValidUTF8(strings.TrimSpace(string(said)), "?"))
}

// hidden returns an error without the URL, which may contain a password.
func hidden(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return fmt.Errorf("calling the endpoint: %w", cause)
	}
	return err
}

// judge interprets an answer: err is nil if the endpoint took the batch or refused it
// for its content, against then tells why.
func judge(answer *http.Response, said string) (against string, err error) {
	switch code := answer.StatusCode; {
	case code < 300:
		return "", nil
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		return answered(code, said), nil
	case code < 400:
		err = fmt.Errorf("HTTP %d: the endpoint is elsewhere, write its URL", code)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		err = errors.New(answered(code, said) + ": check the secret or the token")
	case code == http.StatusGone:
		return "", &usage.RetryError{After: time.Hour, Err: errors.New("HTTP 410: the endpoint wants no events any more: take the exporter out of the configuration")}
	default:
		err = errors.New(answered(code, said))
	}
	if after, ok := usage.RetryAfter(answer.Header.Get("Retry-After"), time.Now()); ok {
		return "", &usage.RetryError{After: after, Err: err}
	}
	return "", err
}

// answered says how the endpoint answered, which may be without a text.
func answered(code int, said string) string {
	if said == "" {
		said = http.StatusText(code)
	}
	return strings.TrimRight(fmt.Sprintf("HTTP %d: %s", code, said), ": ")
}

// sign sets the headers of Standard Webhooks, with a signature by each secret.
func (s *Service) sign(header http.Header, id string, body []byte) error {
	header.Set(standardwebhooks.HeaderWebhookID, id)
	if len(s.keys) == 0 {
		return nil
	}
	at := s.config.Now()
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		var err error
		if signatures[i], err = key.Sign(id, at, body); err != nil {
			return fmt.Errorf("signing: %w", err)
		}
	}
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}
