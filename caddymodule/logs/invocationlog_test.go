package logs

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// output is a log in memory that can be held up.
type output struct {
	mu    sync.Mutex // guards text
	text  strings.Builder
	block chan struct{} // a write waits until it is closed; nil for not
	fault error
}

func (o *output) Write(p []byte) (int, error) {
	if o.block != nil {
		<-o.block
	}
	if o.fault != nil {
		return 0, o.fault
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func loggerTo(w io.Writer, wrap func(zapcore.Encoder) zapcore.Encoder) *zap.Logger {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg", NameKey: "logger"})
	if wrap != nil {
		encoder = wrap(encoder)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(w), zapcore.InfoLevel), zap.ErrorOutput(zapcore.AddSync(io.Discard))).Named("edge_functions")
}

// secretPlaces is a line with secrets wherever a client or a function can put them.
func secretPlaces(secret string) *Invocation {
	return &Invocation{
		Start: time.UnixMicro(1), RequestID: "id", Method: "GET" + secret, URL: "https://api.example/functions/v1/f/" + secret + "?a=1&q=" + secret, Outcome: "complete",
		Headers: ShowRequest(http.Header{
			"User-Agent": {"agent " + secret}, "X-Region": {secret}, "Origin": {"https://" + secret}, "Accept": {secret, secret}, "X-Client-Info": {secret},
			"Content-Type": {secret}, "Authorization": {"Bearer " + secret}, "Apikey": {secret}, "Cookie": {"a=" + secret}, "Sec-Websocket-Protocol": {"jwt-" + secret},
			"X-Forwarded-For": {"203.0.113.7"}, "X-Own": {secret},
		}),
		ExecutionID: secret, ErrorCode: secret, ContentType: secret, ContentLength: secret,
		KeyPrefix: "sb_secret_012345", KeyHash: "00ff",
		JWT: &InvocationJWT{Issuer: secret, Subject: secret, Role: secret, KeyID: secret, Algorithm: "HS256"},
	}
}

// Contract 8.27: nothing that looks like a token or a key is in a line, whatever writes it, nor an address.
func TestInvocationIsMasked(t *testing.T) {
	for _, secret := range []string{
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb2cifQ.c2lnbmF0dXJlc2lnbmF0dXJl", "sb_secret_0123456789abcdefghij", "sb_publishable_0123456789abcdefghij",
	} {
		for name, wrap := range map[string]func(zapcore.Encoder) zapcore.Encoder{
			"json": nil,
			"format edge_functions": func(inner zapcore.Encoder) zapcore.Encoder {
				e := new(Encoder)
				e.wrap(inner)
				return e
			},
		} {
			var out output
			log := NewInvocationLog(new(InvocationLogConfig), loggerTo(&out, wrap))
			log.Write(secretPlaces(secret))
			log.end()
			line := out.String()
			if !strings.Contains(line, `"logger":"edge_functions.invocations"`) || !strings.Contains(line, `"user-agent":"agent `) ||
				!strings.Contains(line, `"api_key":{"prefix":"sb_secret_012345","sha256":"00ff"}`) {
				t.Fatalf("%s: the line is %q", name, line)
			}
			for _, hidden := range []string{secret, secret[len(secret)-15:], "203.0.113.7", "x-own", "cookie"} {
				if strings.Contains(line, hidden) {
					t.Errorf("%s: %q is in %s", name, hidden, line)
				}
			}
		}
	}
	t.Run("query", func(t *testing.T) {
		var out output
		log := NewInvocationLog(new(InvocationLogConfig), loggerTo(&out, nil))
		log.Write(&Invocation{Method: "GET", Status: 200, URL: "https://api.example/f?jwt=one&token=two&apikey=three&access_token=four&%6Awt=five&page=6"})
		log.end()
		const want = `"event_message":"GET | 200 | https://api.example/f?jwt=REDACTED&token=REDACTED&apikey=REDACTED&access_token=REDACTED&%6Awt=REDACTED&page=6"`
		if !strings.Contains(out.String(), want) {
			t.Errorf("the line is %s", out.String())
		}
	})
}

// Contract 8.27: what clients and functions choose is bounded, and stays JSON.
func TestInvocationIsBounded(t *testing.T) {
	var out output
	log := NewInvocationLog(new(InvocationLogConfig), loggerTo(&out, nil))
	long := strings.Repeat("é\xff\n\"", 10_000)
	line := secretPlaces(long)
	log.Write(line)
	log.end()
	var fields map[string]any
	if err := json.Unmarshal([]byte(out.String()), &fields); err != nil {
		t.Fatal(err)
	}
	if n := len(out.String()); n > 20*2*longestText {
		t.Errorf("the line has %d bytes", n)
	}
	if fields["execution_id"] != nil || fields["response_content_length"] != nil {
		t.Errorf("execution_id %v, response_content_length %v", fields["execution_id"], fields["response_content_length"])
	}
}

// The fields keep what they stand for when nothing but one of their parts is known.
func TestDeployment(t *testing.T) {
	for want, line := range map[string]Invocation{
		"":         {},
		"ref_id_3": {Project: "ref", FunctionID: "id", Version: 3},
	} {
		if got := line.deployment(); got != want {
			t.Errorf("%+v is %q, want %q", line, got, want)
		}
	}
	for _, line := range []Invocation{{Project: "ref", FunctionID: "id"}, {Project: "ref", Version: 3}, {FunctionID: "id", Version: 3}} {
		if got := line.deployment(); got != "" {
			t.Errorf("%+v is %q", line, got)
		}
	}
}

// An output that blocks holds no call up. Lines wait for it; those that find no room are counted, and the log says how many.
func TestInvocationLogThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &output{block: make(chan struct{})}
		var faults output
		log := NewInvocationLog(new(InvocationLogConfig), loggerTo(out, nil))
		log.faults = loggerTo(&faults, nil)
		all := new(InvocationLogs)
		new(InvocationTurn).Provide(all, log)
		log.Write(&Invocation{RequestID: "first"})
		synctest.Wait() // the first is being written
		const lost = 10
		for i := range mostWaiting + lost {
			log.Write(&Invocation{RequestID: fmt.Sprint(i)})
		}
		synctest.Wait()
		if said := faults.String(); !strings.Contains(said, `"lines":1}`) || strings.Count(said, "\n") != 1 {
			t.Errorf("while the output blocks it says %q", said)
		}
		close(out.block)
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 1+mostWaiting {
			t.Errorf("%d lines were written, want %d", n, 1+mostWaiting)
		}
		time.Sleep(lostEvery)
		log.Write(&Invocation{RequestID: "after"})
		synctest.Wait()
		if !strings.Contains(out.String(), `"after"`) {
			t.Error("nothing is written afterwards")
		}
		if said := faults.String(); !strings.Contains(said, `"lines":9}`) || strings.Count(said, "\n") != 2 {
			t.Errorf("about lost lines it says %q", said)
		}
		if n := all.Lost(); n != lost {
			t.Errorf("%d lines were counted as lost, want %d", n, lost)
		}
	})
}

// The end of a configuration waits for an output that blocks, but not for ever; lines of calls that end later are written before
// Write returns.
func TestInvocationLogEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &output{block: make(chan struct{})}
		log := NewInvocationLog(new(InvocationLogConfig), loggerTo(out, nil))
		log.Write(&Invocation{RequestID: "first"})
		began := time.Now()
		log.end()
		if took := time.Since(began); took != drainTime {
			t.Errorf("the end took %s", took)
		}
		close(out.block)
		synctest.Wait()
		log.Write(&Invocation{RequestID: "last"})
		if !strings.Contains(out.String(), `"last"`) {
			t.Errorf("the line of the last call is missing: %s", out.String())
		}
	})
}

// A full disk, or an encoder that panics, harms no call and no later line.
func TestInvocationLogThatFails(t *testing.T) {
	out := &output{fault: io.ErrShortWrite}
	log := NewInvocationLog(new(InvocationLogConfig), loggerTo(out, nil))
	log.Write(&Invocation{RequestID: "lost"})
	log.end()
	out.fault = nil
	log.Write(&Invocation{RequestID: "kept"})
	if !strings.Contains(out.String(), `"kept"`) {
		t.Errorf("after a fault the output has %q", out.String())
	}

	out = new(output)
	var faults output
	log = NewInvocationLog(new(InvocationLogConfig), loggerTo(out, func(inner zapcore.Encoder) zapcore.Encoder { return &fragile{Encoder: inner} }))
	log.faults = loggerTo(&faults, nil)
	log.Write(&Invocation{RequestID: "bad"})
	log.Write(&Invocation{RequestID: "good"})
	log.end()
	if !strings.Contains(out.String(), `"good"`) || !strings.Contains(faults.String(), `"sb_request_id":"bad"`) {
		t.Errorf("the output has %q, the faults %q", out.String(), faults.String())
	}
}

// fragile is an encoder that cannot write its first line.
type fragile struct {
	zapcore.Encoder
	called bool
}

func (f *fragile) Clone() zapcore.Encoder { return f }

func (f *fragile) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	if !f.called {
		f.called = true
		panic("no line")
	}
	return f.Encoder.EncodeEntry(entry, fields)
}

// Contract 8.1: the share is kept over many ids, those of a smaller share are among those of a larger one, and the choice never
// changes: gateways of several versions log the same requests.
func TestSamples(t *testing.T) {
	const requests = 20_000
	counts := make(map[float64]int)
	shares := []float64{0.5, 10, 50, 99, 100}
	for i := range requests {
		id := fmt.Sprintf("0190a8f0-%04x-7000-8000-%012x", i%1000, i)
		before := false
		for _, share := range shares {
			sampled := NewInvocationLog(&InvocationLogConfig{Sample: share}, zap.NewNop()).Samples(id)
			if before && !sampled {
				t.Fatalf("%s is of a smaller share and not of %g%%", id, share)
			}
			before = sampled
			if sampled {
				counts[share]++
			}
		}
	}
	for _, share := range shares {
		want := requests * share / 100
		if got := float64(counts[share]); math.Abs(got-want) > 5*math.Sqrt(want)+1 {
			t.Errorf("of %d requests %g%% are %g, want about %g", requests, share, got, want)
		}
	}
	log := NewInvocationLog(&InvocationLogConfig{Sample: 10}, zap.NewNop())
	var sampled []int
	for i := range 60 {
		if log.Samples(fmt.Sprintf("0190a8f0-0000-7000-8000-%012x", i)) {
			sampled = append(sampled, i)
		}
	}
	if want := []int{3, 50}; !slices.Equal(sampled, want) {
		t.Errorf("of these ids %v are logged, earlier versions logged %v", sampled, want)
	}
	if n := testing.AllocsPerRun(100, func() { log.Samples("0190a8f0-0000-7000-8000-000000000000") }); n != 0 {
		t.Errorf("%v allocations to ask", n)
	}
}

// Which log has the line of a call, while configurations come and go.
func TestInvocationTurns(t *testing.T) {
	all := new(InvocationLogs)
	turn := func(on bool) (*InvocationTurn, *InvocationLog) {
		var config *InvocationLogConfig
		if on {
			config = new(InvocationLogConfig)
		}
		log := NewInvocationLog(config, zap.NewNop())
		turn := new(InvocationTurn)
		turn.Provide(all, log)
		return turn, log
	}
	is := func(what string, turn *InvocationTurn, want *InvocationLog) {
		t.Helper()
		if got := turn.For("id"); got != want {
			t.Errorf("%s: %p, want %p", what, got, want)
		}
	}
	is("a configuration that was not provisioned", new(InvocationTurn), nil)
	first, firstLog := turn(true)
	first.Start()
	is("the first", first, firstLog)
	failing, _ := turn(true)
	failing.Start()
	failing.Stop(false)
	failing.End()
	is("the first, after one that did not start", first, firstLog)
	second, secondLog := turn(true)
	second.Start()
	is("the first, while it is to end", first, firstLog)
	first.Stop(false)
	is("the first, ending", first, secondLog)
	first.End()
	is("the first, ended", first, secondLog)
	third, _ := turn(false)
	third.Start()
	second.Stop(false)
	is("the second, ending, the next has none", second, secondLog)
	second.End()
	is("the second, ended", second, nil)
	is("the first, ended long ago", first, nil)
	is("the third", third, nil)
	fourth, fourthLog := turn(true)
	fourth.Start()
	third.Stop(false)
	third.End()
	is("the third, which had none", third, fourthLog)
	fourth.Stop(true)
	is("calls of the last while the process ends", fourth, fourthLog)
	is("WebSockets of earlier ones meanwhile", first, fourthLog)
	fourth.End()
	is("the last, ended", fourth, nil)
}

func TestInvocationLogConfig(t *testing.T) {
	for text, want := range map[string]float64{
		"invocation_log":                   0,
		"invocation_log {\n}":              0,
		"invocation_log {\nsample 10%\n}":  10,
		"invocation_log {\nsample 0.5%\n}": 0.5,
		"invocation_log {\nsample 100%\n}": 100,
	} {
		d := caddyfile.NewTestDispenser(text)
		d.Next()
		var c InvocationLogConfig
		if err := c.UnmarshalCaddyfile(d); err != nil || c.Sample != want {
			t.Errorf("%q is %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{"10", "0%", "-1%", "101%", "NaN%", "Inf%", "%", "all"} {
		d := caddyfile.NewTestDispenser("invocation_log {\nsample " + text + "\n}")
		d.Next()
		if err := new(InvocationLogConfig).UnmarshalCaddyfile(d); err == nil || !strings.Contains(err.Error(), "write `sample 10%`") {
			t.Errorf("sample %s: %v", text, err)
		}
	}
	for _, sample := range []float64{-1, 100.1, math.NaN(), math.Inf(1)} {
		if err := (&InvocationLogConfig{Sample: sample}).Check(); err == nil {
			t.Errorf("%g passes", sample)
		}
	}
	if err := (*InvocationLogConfig)(nil).Check(); err != nil {
		t.Error(err)
	}
}

// BenchmarkInvocation is what a line costs until it is bytes.
func BenchmarkInvocation(b *testing.B) {
	log := NewInvocationLog(new(InvocationLogConfig), loggerTo(io.Discard, nil))
	header := http.Header{"User-Agent": {"Deno/2.1 (variant; SupabaseEdgeRuntime/1.74)"}, "Content-Type": {"application/json"}, "Accept": {"*/*"}, "X-Client-Info": {"supabase-js/2.49"}}
	b.ReportAllocs()
	for b.Loop() {
		entry := log.logger.Check(zapcore.InfoLevel, "invocation")
		log.writeLine(invocationLine{entry, &Invocation{
			Start: time.UnixMicro(1), RequestID: "0190a8f0-0000-7000-8000-000000000000", Method: "POST", URL: "https://api.example.com/functions/v1/hello?page=2&order=asc",
			Headers: ShowRequest(header), Project: "default", Status: 200, Outcome: "complete", Attempts: 1, ContentType: "application/json",
		}})
	}
}
