package auth

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// Which keys were used, and when; those that only refuse something were not.
func TestUsage(t *testing.T) {
	shared := NewShared(SharedConfig{})
	expires := now.Add(time.Hour)
	config := Config{
		Secrets: [][]byte{secret, oldSecret}, Keys: parseSet(t, ecPair), Remotes: remotes(t, rsaPair, ecNext), Shared: shared,
		APIKeys: []APIKey{{Name: "web", Type: Publishable, Key: publishableKey}, {Name: "ci", Type: Secret, SHA256: sum(hashedKey), ExpiresAt: expires}},
	}
	v := verifierOf(t, config)
	for _, c := range []Credentials{
		bearer(sign(hs256, `{"exp":1}`, oldSecret)), bearer(ecNext.token(`{"exp":1}`)), bearer(ecStranger.token(`{}`)), {APIKey: []string{hashedKey}, Browser: true},
	} {
		if _, failure := v.Check(c, true, now); failure == nil {
			t.Fatal("accepted")
		}
	}
	v.Inspect(sign(hs256, `{}`, secret), now)
	used := func(u Usage) (times []time.Time) {
		for _, k := range u.APIKeys {
			times = append(times, k.LastUsed)
		}
		for _, k := range u.Secrets {
			times = append(times, k.LastUsed)
		}
		for _, k := range u.PublicKeys {
			times = append(times, k.LastUsed)
		}
		return times
	}
	for i, at := range used(v.Usage()) {
		if !at.IsZero() {
			t.Errorf("key %d was used at %s by what was refused or inspected", i, at)
		}
	}

	second := func(n int) time.Time { return time.Unix(now.Unix()+int64(n), 0) }
	for n, c := range []Credentials{
		{APIKey: []string{publishableKey}},
		bearer(hashedKey), bearer(sign(hs256, `{}`, secret)), bearer(sign(hs256, `{}`, oldSecret)),
		bearer(ecPair.token(`{}`)), bearer(rsaPair.token(`{}`)), bearer(ecNext.token(`{}`)),
	} {
		// Verified at first, remembered the second time: that is a use too.
		for _, at := range []time.Time{second(n - 100), second(n).Add(time.Millisecond)} {
			if _, failure := v.Check(c, true, at); failure != nil {
				t.Fatal(failure.Err)
			}
		}
	}
	// A reload that keeps the keys keeps their uses.
	reloaded := verifierOf(t, config)
	for name, v := range map[string]*Verifier{"before": v, "after a reload": reloaded} {
		usage := v.Usage()
		for n, at := range used(usage) {
			if !at.Equal(second(n)) {
				t.Errorf("%s: key %d was used at %s, want %s", name, n, at, second(n))
			}
		}
		if k := usage.APIKeys[1]; k.Name != "ci" || k.Type != Secret || len(k.HashPrefix) != 12 || !k.ExpiresAt.Equal(expires) {
			t.Errorf("%s: %+v", name, k)
		}
		if k := usage.PublicKeys; k[0].KeyID != "ec-1" || k[0].Location != "" || k[1].Location != "https://keys.example.com/" || k[1].Algorithm != jwks.RS256 {
			t.Errorf("%s: %+v", name, k)
		}
		text := string(must(json.Marshal(usage)))
		for _, hidden := range []string{publishableKey, string(secret), string(oldSecret), hashedKey} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s: a key is in %s", name, text)
			}
		}
	}
}
