package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// remotes is a set that lies elsewhere and was fetched.
func remotes(t testing.TB, pairs ...pair) []*jwks.Remote {
	t.Helper()
	s := &source{}
	s.serve(pairs...)
	r := remoteOf(s)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return []*jwks.Remote{r}
}

// Contract 3.14: a token with an unknown kid has the keys fetched, at most once
// in 10 s, and then is good; others of unknown keys are refused at once.
func TestUnknownKeyIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Second}
		s.serve(ecPair)
		shared := NewShared(SharedConfig{})
		v := verifierOf(t, Config{Secrets: [][]byte{secret}, Remotes: []*jwks.Remote{remoteOf(s)}, Shared: shared})
		check := func(token string, want error, waited time.Duration, fetches int) {
			t.Helper()
			before := time.Now()
			_, err := refusal(v, token, now)
			synctest.Wait() // what it began in the background counts too
			if took := time.Since(before); !errors.Is(err, want) || took != waited || s.count() != fetches {
				t.Errorf("%v after %s and %d fetches, want %v after %s and %d", err, took, s.count(), want, waited, fetches)
			}
		}
		unknown := func(kid string) string { return pair{kid, "ES256", ecPair.private}.token(`{}`) }

		check(sign(hs256, `{}`, secret), nil, 0, 1) // waits for no public key
		check(ecPair.token(`{}`), nil, time.Second, 1)
		check(ecPair.token(`{"n":1}`), nil, 0, 1)
		s.serve(ecPair, ecNext)
		check(ecNext.token(`{}`), nil, time.Second, 2)
		check(ecPair.token(`{}`), nil, 0, 2)
		for i := range 10 {
			check(unknown(fmt.Sprint("invented ", i)), ErrUnknownSigner, 0, 2)
		}
		time.Sleep(10 * time.Second)
		check(unknown("invented"), ErrUnknownSigner, time.Second, 3)
		// Not remembered: when the key comes, its token is good.
		time.Sleep(10 * time.Second)
		s.serve(pair{"invented", "ES256", ecPair.private})
		check(unknown("invented"), nil, time.Second, 4)
		// The key that is gone from the set is refused, though it was remembered.
		check(ecPair.token(`{}`), ErrUnknownSigner, 0, 4)
		check(sign(hs256, `{}`, secret), nil, 0, 4)
	})
}

// Contract 3.14: a token without a kid is as good a reason to look for new keys.
func TestUnnamedKeyIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Second}
		s.serve(ecPair)
		v := verifierOf(t, Config{Remotes: []*jwks.Remote{remoteOf(s)}, Shared: NewShared(SharedConfig{})})
		if _, err := refusal(v, ecPair.unnamed(`{}`), now); err != nil {
			t.Fatal(err)
		}
		s.serve(ecNext)
		if _, err := refusal(v, ecNext.unnamed(`{}`), now); err != nil {
			t.Errorf("refused by the new key: %v", err)
		}
		if _, err := refusal(v, ecPair.unnamed(`{}`), now); !errors.Is(err, ErrSignature) {
			t.Errorf("by the old key: %v", err)
		}
		if s.count() != 2 {
			t.Errorf("%d fetches, want 2", s.count())
		}
	})
}

// What needs no key from elsewhere waits for none: HS256 tokens, and those by keys
// of the configuration, also while a URL hangs.
func TestOwnKeysDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Hour}
		v := verifierOf(t, Config{
			Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair), Remotes: []*jwks.Remote{remoteOf(s)}, Shared: NewShared(SharedConfig{}),
		})
		before := time.Now()
		for range 2 {
			for name, token := range map[string]string{"HS256": sign(hs256, `{}`, secret), "ES256": ecPair.token(`{}`), "unnamed": ecPair.unnamed(`{}`)} {
				if _, err := refusal(v, token, now); err != nil || time.Since(before) != 0 {
					t.Errorf("%s: %v after %s", name, err, time.Since(before))
				}
			}
		}
		if _, err := refusal(v, ecNext.token(`{}`), now); !errors.Is(err, ErrUnknownSigner) || time.Since(before) != 5*time.Second {
			t.Errorf("a token that needs it: %v after %s, want refused after 5 s", err, time.Since(before))
		}
		time.Sleep(time.Minute) // the fetches end
	})
}

// Contract 3.14: after long idleness a remembered token is not judged by keys
// that may be revoked meanwhile.
func TestIdleKeysAreFetchedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Second}
		s.serve(ecPair)
		v := verifierOf(t, Config{Remotes: []*jwks.Remote{remoteOf(s)}, Shared: NewShared(SharedConfig{})})
		token := ecPair.token(`{}`)
		refusal(v, token, now)
		s.serve(ecNext)
		time.Sleep(time.Hour)
		if _, err := refusal(v, token, now); !errors.Is(err, ErrUnknownSigner) {
			t.Errorf("a token by a revoked key: %v", err)
		}
		// But when the server is gone, the last good keys serve.
		s.serve()
		time.Sleep(time.Hour)
		for range 2 {
			if _, err := refusal(v, ecNext.token(`{}`), now); err != nil {
				t.Errorf("while the server is down: %v", err)
			}
		}
	})
}

// Rotation as the runbook does it, over HTTP and under load: the next key is
// published, signs, the server goes down, comes back, the old key goes. No valid
// token is refused and no invalid one accepted (contract 3.14).
func TestRotation(t *testing.T) {
	var body atomic.Value
	var fetches atomic.Int64
	body.Store(keySet(ecPair))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		text := body.Load().(string)
		if text == "" {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		w.Write([]byte(text))
	}))
	defer server.Close()
	pool := jwks.NewPool(jwks.PoolConfig{Interval: 20 * time.Millisecond, SeekInterval: 5 * time.Millisecond})
	v := verifierOf(t, Config{
		Remotes: []*jwks.Remote{pool.Get(must(jwks.NewURL(server.URL)))}, Shared: NewShared(SharedConfig{CacheBytes: 64 << 10, Wait: time.Minute}),
	})
	pool.Prefetch(t.Context())

	const users = 4
	// step has all users send tokens of the given keys, some new, some again.
	step := func(name string, tokens int, valid []pair, invalid []pair) {
		var group sync.WaitGroup
		for user := range users {
			group.Go(func() {
				for i := range tokens {
					payload := fmt.Sprintf(`{"sub":"%d","n":%d}`, user, i%10)
					for _, p := range valid {
						if _, err := refusal(v, p.token(payload), time.Now()); err != nil {
							t.Errorf("%s: a valid token by %s was refused: %v", name, p.kid, err)
						}
					}
					for _, p := range invalid {
						if _, err := refusal(v, p.token(payload), time.Now()); err == nil {
							t.Errorf("%s: an invalid token by %s was accepted", name, p.kid)
						}
					}
				}
			})
		}
		group.Wait()
	}
	// settled waits until the set is the one of the server.
	settled := func(keys int) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for pool.Status().Remotes[0].Keys != keys || pool.Status().Failing > 0 {
			if time.Now().After(deadline) {
				t.Fatalf("the set was not fetched: %+v", pool.Status())
			}
			refusal(v, ecPair.token(`{}`), time.Now())
		}
	}
	revoked := pair{"ec-0", "ES256", ecStranger.private}
	step("one key", 50, []pair{ecPair}, []pair{ecStranger, revoked, rsaPair})
	body.Store(keySet(ecPair, ecNext))
	settled(2)
	step("the next is published", 50, []pair{ecPair, ecNext}, []pair{ecStranger, revoked, rsaPair})
	body.Store("")
	before := fetches.Load()
	step("the server is down", 100, []pair{ecPair, ecNext}, []pair{ecStranger, revoked, rsaPair})
	if fetches.Load() == before {
		t.Error("the server was never asked while it was down")
	}
	body.Store(keySet(ecNext))
	settled(1)
	step("the old one is gone", 50, []pair{ecNext}, []pair{ecPair, ecStranger, revoked, rsaPair})
}
