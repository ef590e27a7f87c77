package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/pflag"
)

const (
	// adminTimeout is the longest wait for an answer: the gateway computes all of
	// them from memory, so one that is silent for longer is stuck.
	adminTimeout = 10 * time.Second

	// maxAnswer bounds what a wrong address can make the command read, in bytes.
	maxAnswer = 16 << 20
)

// admin is the admin API of a running gateway.
type admin struct {
	address string // as Caddy's --address takes it
	also    string // where nothing was found before; "" if the address was given
	timeout time.Duration
}

// adminSocket is where packages and the shipped Caddyfiles have the admin
// endpoint (docs/cli.md).
const adminSocket = "/run/edgegate/admin.sock"

// usualPlaces is --address when it is not given: whichever answers.
var usualPlaces = "unix/" + adminSocket + " or " + caddy.DefaultAdminListen

// addressFlag adds --address.
func addressFlag(flags *pflag.FlagSet, into *string) {
	flags.StringVar(into, "address", usualPlaces, "admin endpoint of the gateway: host:port, http://host:port or unix//path")
}

// usualAddress is the admin endpoint where none was named. A socket that this
// user may not open is the gateway's all the same: the error then says why.
func usualAddress(socket string) string {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		_ = conn.Close() // only to see that something listens
	}
	if err == nil || errors.Is(err, fs.ErrPermission) {
		return "unix/" + socket
	}
	return caddy.DefaultAdminListen
}

// newAdmin takes what users type for an admin address: all that Caddy's own
// --address takes, http:// in front of it, and usualPlaces.
func newAdmin(text string) (admin, error) {
	also := ""
	if text == usualPlaces {
		if text = usualAddress(adminSocket); text == caddy.DefaultAdminListen {
			also = "unix/" + adminSocket
		}
	}
	address, err := adminAddress(text)
	if err != nil {
		return admin{}, &UsageError{
			Msg:  fmt.Sprintf("--address %q: %v", text, err),
			Hint: "name the admin endpoint, such as localhost:2019, http://localhost:2019 or unix//run/edgegate.sock",
		}
	}
	return admin{address, also, adminTimeout}, nil
}

func adminAddress(text string) (string, error) {
	if strings.HasPrefix(text, "https://") {
		return "", errors.New("the admin API speaks plain HTTP")
	}
	if rest, ok := strings.CutPrefix(text, "http://"); ok {
		text = strings.TrimSuffix(rest, "/")
	}
	parsed, err := caddy.ParseNetworkAddress(text)
	switch {
	case err != nil:
		return "", err
	case parsed.Network == "unix" && parsed.Host != "":
		return text, nil
	case !slices.Contains([]string{"tcp", "tcp4", "tcp6"}, parsed.Network):
		return "", errors.New("not an address")
	case parsed.PortRangeSize() != 1 || parsed.StartPort == 0:
		return "", errors.New("one port is needed")
	case parsed.Host == "":
		// Caddy compares the Host header with its own address, so that :2019 would be dialled and then refused.
		parsed.Host = "localhost"
	}
	return parsed.String(), nil
}

// question is a request of a command to the gateway's admin API.
type question struct {
	uri  string
	body any    // posted as JSON; nil asks by GET
	hint string // what to do when the gateway finds the question wrong
	// hints are those for answers that begin with a word.
	hints map[string]string
	// timeout is the longest wait for the answer. Default: that of admin.
	timeout time.Duration
	// then is done after the answer was printed; nil is nothing.
	then func(ctx context.Context, gateway admin) error
	// stream, if there is one, is done instead of asking and printing.
	stream func(ctx context.Context, gateway admin, output string) error
}

// ask returns the JSON that the gateway answers.
func (a admin) ask(ctx context.Context, q question) ([]byte, error) {
	method, body := http.MethodGet, []byte(nil)
	if q.body != nil {
		var err error
		if body, err = json.Marshal(q.body); err != nil {
			return nil, fmt.Errorf("encoding the question: %w", err)
		}
		method = http.MethodPost
	}
	timeout := cmp.Or(q.timeout, a.timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		body []byte
		err  error
	}
	// Caddy's client takes no context. What a stuck gateway leaves running here ends with the process.
	done := make(chan answer, 1)
	go func() {
		body, err := fetch(a.address, method, q.uri, body)
		done <- answer{body, err}
	}()
	select {
	case <-ctx.Done():
		return nil, &FailureError{
			Msg:  fmt.Sprintf("no answer from %s within %s", a.address, timeout),
			Hint: "check --address; if it is right, the gateway is busy or stuck: ask again",
		}
	case got := <-done:
		if got.err != nil {
			return nil, a.failure(got.err, q)
		}
		return got.body, nil
	}
}

func fetch(address, method, uri string, body []byte) ([]byte, error) {
	var content io.Reader // a nil one: Caddy's client takes any other for a body
	if body != nil {
		content = bytes.NewReader(body)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, uri, nil, content)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

// failure tells what to do about an error of Caddy's client, which has no
// types: an answer of the gateway is known by its text.
func (a admin) failure(err error, q question) error {
	text := err.Error()
	answered, ok := strings.CutPrefix(text, "caddy responded with error: HTTP ")
	if !ok {
		if _, cause, wrapped := strings.Cut(text, `": `); wrapped {
			text = cause // without the method and the URL, which the user did not type
		}
		where := a.address
		if a.also != "" {
			where = a.also + " or " + where
		}
		return &FailureError{
			unreached: true,
			Msg:       fmt.Sprintf("no gateway answers at %s: %s", where, text),
			Hint: "start it with `edgegate run --config FILE`, or name the address of its `admin` option with --address" +
				" (there is none with `admin off`)",
		}
	}
	status, body, _ := strings.Cut(answered, ": ")
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &said) != nil || said.Error == "" {
		return a.stranger("HTTP " + status)
	}
	return &FailureError{Msg: said.Error, Hint: hintFor(status, said.Error, q), status: status}
}

// hintFor returns the advice for an answer of the admin API other than 200.
func hintFor(status, said string, q question) string {
	switch {
	case status == "403":
		return "use the address as the `admin` option of the gateway names it, or list this one among its origins"
	case status == "404" && strings.Contains(said, "not configured"):
		return "add the global option edge_functions to the gateway's configuration and reload it"
	case status == "503":
		return "the gateway goes on counting: nothing is lost meanwhile, and this can be asked again"
	case status == "400" || status == "404":
		word, _, _ := strings.Cut(said, " ")
		if hint := cmp.Or(q.hints[strings.TrimSuffix(word, ":")], q.hint); hint != "" {
			return hint
		}
	}
	return "if the error does not say what to do: `edgegate status` says what is wrong with the gateway"
}

// stranger is the failure of an address where something else answers.
func (a admin) stranger(what string) error {
	return &FailureError{
		Msg:  fmt.Sprintf("what answers at %s is not the admin API of edgegate (%s)", a.address, what),
		Hint: "--address takes the admin endpoint, by default " + caddy.DefaultAdminListen + ", not the address of a site",
	}
}
