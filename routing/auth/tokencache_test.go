package auth

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func counts(s *Shared, hits, bad, misses uint64) error {
	got := s.Stats()
	if got.Hits != hits || got.BadHits != bad || got.Misses != misses {
		return fmt.Errorf("%d hits, %d bad, %d misses, want %d, %d, %d", got.Hits, got.BadHits, got.Misses, hits, bad, misses)
	}
	return nil
}

// Contract 3.5, 3.8: a remembered token is judged by the clock of each request,
// at the same instant as one that is verified anew.
func TestRememberedExpiry(t *testing.T) {
	shared := NewShared(SharedConfig{})
	remembering := verifierOf(t, Config{Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair), Shared: shared})
	forgetful := verifierOf(t, Config{Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair)})
	const payload = `{"nbf":1800000000.25,"exp":1800000010.75}`
	start := time.Unix(1_800_000_000, 0)
	for name, token := range map[string]string{"HS256": sign(hs256, payload, secret), "ES256": ecPair.token(payload)} {
		for _, tt := range []struct {
			at   time.Duration
			want error
		}{
			{5 * time.Second, nil}, // remembered
			{10*time.Second + 750*time.Millisecond - 1, nil},
			{10*time.Second + 750*time.Millisecond, ErrExpired},
			{time.Hour, ErrExpired},
			{250 * time.Millisecond, nil}, // the clock went back
			{250*time.Millisecond - 1, ErrNotYetValid},
			{-time.Hour, ErrNotYetValid},
			{5 * time.Second, nil},
		} {
			code, first := refusal(forgetful, token, start.Add(tt.at))
			codeAgain, again := refusal(remembering, token, start.Add(tt.at))
			if !errors.Is(first, tt.want) || !errors.Is(again, tt.want) || code != codeAgain {
				t.Errorf("%s at %s: verified %v, remembered %v, want %v", name, tt.at, first, again, tt.want)
			}
		}
	}
	if err := counts(shared, 14, 0, 2); err != nil {
		t.Error(err)
	}
}

// A token that is not valid yet when it first comes is good from its second on.
func TestRememberedTooEarly(t *testing.T) {
	shared := NewShared(SharedConfig{})
	v := verifierOf(t, Config{Keys: parseSet(t, ecPair), Shared: shared})
	token := ecPair.token(`{"nbf":1800000002,"exp":1800000003}`)
	for _, tt := range []struct {
		at   int64
		want error
	}{{1_800_000_000, ErrNotYetValid}, {1_800_000_001, ErrNotYetValid}, {1_800_000_002, nil}, {1_800_000_003, ErrExpired}} {
		if _, err := refusal(v, token, time.Unix(tt.at, 0)); !errors.Is(err, tt.want) {
			t.Errorf("at %d: %v, want %v", tt.at, err, tt.want)
		}
	}
	if err := counts(shared, 0, 3, 1); err != nil {
		t.Error(err)
	}
}

// What is remembered holds where the same things decide, and nowhere else: not
// after a change of keys or rules, not in a project with others (contract 3.14).
func TestScope(t *testing.T) {
	base := func() Config {
		return Config{
			Secrets: [][]byte{secret, oldSecret}, Keys: parseSet(t, ecPair, rsaPair), AllowEdDSA: true,
			Issuers: []string{"i", "j"}, Audiences: []string{"a"}, Roles: []string{"r"}, Leeway: time.Second,
		}
	}
	const payload = `{"iss":"i","aud":"a","role":"r"}`
	tests := map[string]struct {
		change func(*Config)
		same   bool
	}{
		"nothing":                {func(*Config) {}, true},
		"order of issuers":       {func(c *Config) { c.Issuers = []string{"j", "i", "j"} }, true},
		"order of keys":          {func(c *Config) { c.Keys = parseSet(t, rsaPair, ecPair) }, true},
		"an opaque API key":      {func(c *Config) { c.APIKeys = []APIKey{{Type: Secret, Key: secretKey}} }, true},
		"an API key of any form": {func(c *Config) { c.APIKeys = []APIKey{{Type: Secret, SHA256: sum("x")}} }, false},
		"a secret less":          {func(c *Config) { c.Secrets = c.Secrets[:1] }, false},
		"a secret more":          {func(c *Config) { c.Secrets = append(c.Secrets, foreign) }, false},
		"secrets joined":         {func(c *Config) { c.Secrets = [][]byte{append([]byte(string(secret)), oldSecret...)} }, false},
		"a public key less":      {func(c *Config) { c.Keys = parseSet(t, ecPair) }, false},
		"another of its name":    {func(c *Config) { c.Keys = parseSet(t, ecStranger, rsaPair) }, false},
		"no EdDSA":               {func(c *Config) { c.AllowEdDSA = false }, false},
		"an issuer less":         {func(c *Config) { c.Issuers = c.Issuers[:1] }, false},
		"issuers as audiences":   {func(c *Config) { c.Issuers, c.Audiences = []string{"a"}, []string{"i", "j"} }, false},
		"no role":                {func(c *Config) { c.Roles = nil }, false},
		"a leeway of 1 ns more":  {func(c *Config) { c.Leeway++ }, false},
		"a set from elsewhere":   {func(c *Config) { c.Remotes = append(c.Remotes, remoteOf(&source{})) }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			shared := NewShared(SharedConfig{})
			first := base()
			first.Shared = shared
			tokens := []string{sign(hs256, payload, secret), ecPair.token(payload)}
			v := verifierOf(t, first)
			for _, token := range tokens {
				if _, err := refusal(v, token, now); err != nil {
					t.Fatal(err)
				}
			}
			second := base()
			second.Shared = shared
			tt.change(&second)
			v = verifierOf(t, second)
			for _, token := range tokens {
				refusal(v, token, now)
			}
			if hits := shared.Stats().Hits; (hits == 2) != tt.same || hits%2 != 0 {
				t.Errorf("%d hits, want the same scope: %t", hits, tt.same)
			}
		})
	}
}

// A revoked secret or key is refused at once, though its tokens are remembered.
func TestRevocation(t *testing.T) {
	shared := NewShared(SharedConfig{})
	before := verifierOf(t, Config{Secrets: [][]byte{secret, oldSecret}, Keys: parseSet(t, ecPair, rsaPair), Shared: shared})
	after := verifierOf(t, Config{Secrets: [][]byte{secret}, Keys: parseSet(t, rsaPair), Shared: shared})
	for name, token := range map[string]string{"contract 3.5 secret": sign(hs256, `{}`, oldSecret), "contract 3.14 key": ecPair.token(`{}`)} {
		for range 2 {
			if _, err := refusal(before, token, now); err != nil {
				t.Errorf("%s: refused before: %v", name, err)
			}
		}
		if _, err := refusal(after, token, now); err == nil {
			t.Errorf("%s: accepted after", name)
		}
	}
}

// Contract 3.9: what is an API key in one project is judged as one, though another
// with the same secret remembers it as a token; and once it has expired, as what
// else it is.
func TestRememberedIsNoAPIKey(t *testing.T) {
	shared := NewShared(SharedConfig{})
	token := sign(hs256, `{"role":"anon"}`, secret)
	plain := verifierOf(t, Config{Secrets: [][]byte{secret}, Shared: shared})
	keyed := verifierOf(t, Config{
		Secrets: [][]byte{secret}, Shared: shared, APIKeys: []APIKey{{Type: Secret, SHA256: sum(token), ExpiresAt: now.Add(time.Hour)}},
	})
	prolonged := verifierOf(t, Config{
		Secrets: [][]byte{secret}, Shared: shared, APIKeys: []APIKey{{Type: Secret, SHA256: sum(token), ExpiresAt: now.Add(3 * time.Hour)}},
	})
	for _, tt := range []struct {
		name string
		v    *Verifier
		at   time.Duration
		want Method
	}{
		{"no key", plain, 0, MethodJWT},
		{"a key", keyed, 0, MethodAPIKey},
		{"an expired key", keyed, time.Hour, MethodJWT},
		{"an expired key, remembered", keyed, time.Hour, MethodJWT},
		{"a key of longer", prolonged, time.Hour, MethodAPIKey},
		{"still no key", plain, 0, MethodJWT},
	} {
		identity, failure := tt.v.Check(bearer(token), true, now.Add(tt.at))
		if failure != nil || identity.Method != tt.want {
			t.Errorf("%s: %+v %+v, want %s", tt.name, identity, failure, tt.want)
		}
		c := bearer(token)
		c.Browser = true
		if _, failure := tt.v.Check(c, true, now.Add(tt.at)); (failure != nil) != (tt.want == MethodAPIKey) {
			t.Errorf("contract 3.11: %s: %+v", tt.name, failure)
		}
	}
}

// Bad tokens are remembered for five seconds, and apart from good ones.
func TestRememberedBad(t *testing.T) {
	shared := NewShared(SharedConfig{CacheBytes: 1 << 20})
	v := verifierOf(t, Config{Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair), Roles: []string{"r"}, Shared: shared})
	good := ecPair.token(`{"role":"r"}`)
	refusal(v, good, now)
	for name, tt := range map[string]struct {
		token string
		want  error
		bad   uint64 // hits of two more looks
	}{
		"signature":     {ecStranger.token(`{"role":"r"}`), ErrSignature, 2},
		"claims":        {ecPair.token(`[]`), ErrClaims, 2},
		"role":          {ecPair.token(`{"role":"x"}`), ErrRole, 2},
		"expired":       {ecPair.token(`{"exp":1,"role":"r"}`), ErrExpired, 2},
		"unknown kid":   {ecNext.token(`{"role":"r"}`), ErrUnknownSigner, 0},
		"critical":      {ecPair.sign(`{"alg":"ES256","crit":[]}`, `{}`), ErrCritical, 0},
		"algorithm":     {ecPair.sign(`{"alg":"none"}`, `{}`), ErrAlgorithm, 0},
		"no token":      {"a.b.c", ErrMalformed, 0},
		"a long token":  {ecStranger.token(`{"x":"` + strings.Repeat("x", maxCached) + `"}`), ErrSignature, 0},
		"not yet valid": {ecPair.token(`{"nbf":1900000000,"role":"r"}`), ErrNotYetValid, 2},
	} {
		base := shared.Stats()
		for _, after := range []time.Duration{0, time.Second, 5*time.Second - 1, 5 * time.Second, -time.Second} {
			if _, err := refusal(v, tt.token, now.Add(after)); !errors.Is(err, tt.want) {
				t.Errorf("%s after %s: %v, want %v", name, after, err, tt.want)
			}
		}
		if got := shared.Stats().BadHits - base.BadHits; got != tt.bad {
			t.Errorf("%s: remembered %d times, want %d", name, got, tt.bad)
		}
	}

	// A flood of forgeries pushes out no good token, and takes little memory.
	for i := range 20_000 {
		refusal(v, sign(hs256, fmt.Sprintf(`{"role":"r","n":%d}`, i), foreign), now)
	}
	got := shared.Stats()
	if got.Weight > 1<<20/8 || got.Entries > 300 {
		t.Errorf("forgeries take %d bytes in %d entries", got.Weight, got.Entries)
	}
	if refusal(v, good, now); shared.Stats().Hits != got.Hits+1 {
		t.Error("a good token was pushed out")
	}
}

// The memory is bounded in bytes, whatever tokens come.
func TestCacheIsBounded(t *testing.T) {
	const size = 256 << 10
	shared := NewShared(SharedConfig{CacheBytes: size})
	v := verifierOf(t, Config{Secrets: [][]byte{secret}, Shared: shared})
	for i := range 5_000 {
		if _, err := refusal(v, sign(hs256, fmt.Sprintf(`{"sub":"%d","x":%q}`, i, strings.Repeat("x", i%4096)), secret), now); err != nil {
			t.Fatal(err)
		}
	}
	if got := shared.Stats(); got.Weight > size || got.Entries == 0 {
		t.Errorf("%d bytes in %d entries, allowed %d", got.Weight, got.Entries, size)
	}
	before := shared.Stats()
	refusal(v, sign(hs256, `{"x":"`+strings.Repeat("x", maxCached)+`"}`, secret), now)
	if got := shared.Stats(); got.Misses != before.Misses || got.Entries != before.Entries {
		t.Error("a token that is too long was remembered")
	}
}

// Contract 9.7: whatever tokens come, the memory that they take is no more than what is said; a budget that changes is in force
// at once, and good tokens that still fit stay.
func TestCacheMemoryInBytes(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for name, payload := range map[string]string{
		"short": `{"sub":"%d"}`, "subject": `{"sub":"%d` + long + `"}`, "issuer and role": `{"n":%d,"iss":"` + long + `","role":"` + long + `"}`,
		"all else": `{"n":%d,"x":"` + long + `"}`,
	} {
		for kind, key := range map[string][]byte{"good": secret, "forged": foreign} {
			t.Run(name+" "+kind, func(t *testing.T) {
				shared := NewShared(SharedConfig{})
				v := verifierOf(t, Config{Secrets: [][]byte{secret}, Shared: shared})
				head := `{"alg":"HS256","kid":"` + long + `"}`
				before := heap()
				for i := range 3000 {
					refusal(v, sign(head, fmt.Sprintf(payload, i), key), now)
				}
				grown := heap() - before
				got := shared.Stats()
				t.Logf("%d bytes each, said are %d", grown/int64(got.Entries), int(got.Weight)/got.Entries)
				if got.Entries < 2000 || grown > int64(got.Weight)+64<<10 || got.Most != DefaultCacheBytes {
					t.Errorf("%d bytes, said are %+v", grown, got)
				}
				shared.Resize(1 << 20)
				if got := shared.Stats(); got.Weight > 1<<20 || got.Most != 1<<20 || got.Entries == 0 {
					t.Errorf("after a change: %+v", got)
				}
				runtime.KeepAlive(v)
			})
		}
	}
}

// heap returns how much is in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// A remembered token costs no allocation.
func TestHitDoesNotAllocate(t *testing.T) {
	shared := NewShared(SharedConfig{})
	v := verifierOf(t, Config{
		Keys: parseSet(t, ecPair), Remotes: remotes(t, rsaPair), APIKeys: []APIKey{{Type: Publishable, Key: publishableKey}}, Shared: shared,
	})
	for name, c := range map[string]Credentials{
		"own key":     bearer(ecPair.token(`{"role":"anon","exp":1900000000}`)),
		"remote key":  bearer(rsaPair.token(`{"role":"anon","exp":1900000000}`)),
		"and API key": {Authorization: []string{"Bearer " + ecPair.token(`{}`)}, APIKey: []string{publishableKey}},
	} {
		check := func() {
			if _, failure := v.Check(c, true, now); failure != nil {
				t.Fatal(failure.Err)
			}
		}
		for range 1000 {
			check() // each of the hashes gets its memory
		}
		if got := testing.AllocsPerRun(1000, check); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// Many at a time, with the race detector: answers are the same for all.
func TestSharedConcurrently(t *testing.T) {
	shared := NewShared(SharedConfig{CacheBytes: 64 << 10, Wait: time.Minute})
	remotes := remotes(t, rsaPair)
	var group sync.WaitGroup
	for worker := range 8 {
		v := verifierOf(t, Config{Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair), Remotes: remotes, Shared: shared})
		group.Go(func() {
			for i := range 200 {
				payload := fmt.Sprintf(`{"sub":"%d"}`, (i+worker)%50)
				for token, want := range map[string]error{
					sign(hs256, payload, secret): nil, sign(hs256, payload, foreign): ErrSignature, rsaPair.token(payload): nil, ecNext.token(payload): ErrUnknownSigner,
				} {
					if _, err := refusal(v, token, now); !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				}
			}
		})
	}
	group.Wait()
}
