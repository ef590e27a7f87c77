package auth

import (
	"fmt"
	"testing"
	"time"
)

// Verifications per second are b.N / time: a cached token is asked again and
// again, the others are verified each time.
func BenchmarkToken(b *testing.B) {
	const claims = `{"iss":"https://abcdefghijklmnopqrst.supabase.co/auth/v1","sub":"8a2c6a7e-2f0b-4a53-9f5e-0d6b4d0c9c11","aud":"authenticated",` +
		`"exp":2000000000,"iat":1700000000,"email":"somebody@example.com","role":"authenticated","aal":"aal1","session_id":"0f8c7b7e-5d3a-4f7c-8f5d-8a1f6f1f6f1f"}`
	config := Config{Secrets: [][]byte{secret}, Keys: parseSet(b, ecPair, rsaPair, edPair), AllowEdDSA: true}
	verifying := verifierOf(b, config)
	config.Shared = NewShared(SharedConfig{})
	config.Remotes = remotes(b, ecNext)
	config.APIKeys = []APIKey{{Type: Publishable, Key: publishableKey}}
	remembering := verifierOf(b, config)
	for _, bm := range []struct {
		name  string
		v     *Verifier
		token string
		good  bool
	}{
		{"cached", remembering, ecPair.token(claims), true},
		{"cached_bad", remembering, ecStranger.token(claims), false},
		{"HS256", verifying, sign(hs256, claims, secret), true},
		{"ES256", verifying, ecPair.token(claims), true},
		{"RS256", verifying, rsaPair.token(claims), true},
		{"EdDSA", verifying, edPair.token(claims), true},
		{"ES256_forged", verifying, ecStranger.token(claims), false},
		{"unknown_kid", verifying, ecNext.token(claims), false},
	} {
		credentials := bearer(bm.token)
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, failure := bm.v.Check(credentials, true, now); (failure == nil) != bm.good {
					b.Fatalf("%+v", failure)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// Many tokens from many processors at a time, all remembered.
func BenchmarkCachedParallel(b *testing.B) {
	v := verifierOf(b, Config{Secrets: [][]byte{secret}, Shared: NewShared(SharedConfig{})})
	all := make([]Credentials, 1024)
	for i := range all {
		all[i] = bearer(sign(hs256, fmt.Sprintf(`{"sub":"%d"}`, i), secret))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, failure := v.Check(all[i%len(all)], true, now); failure != nil {
				b.Error(failure.Err)
			}
		}
	})
}

// A flood of tokens that were never seen before, each of them bad.
func BenchmarkForgeries(b *testing.B) {
	const claims = `{"iss":"https://abcdefghijklmnopqrst.supabase.co/auth/v1","sub":"8a2c6a7e-2f0b-4a53-9f5e-0d6b4d0c9c11","role":"authenticated","exp":2000000000,"n":%d}`
	v := verifierOf(b, Config{
		Secrets: [][]byte{secret}, Keys: parseSet(b, ecPair), Remotes: remotes(b, rsaPair), Shared: NewShared(SharedConfig{}),
	})
	for name, token := range map[string]func(i int) string{
		"HS256":       func(i int) string { return sign(hs256, fmt.Sprintf(claims, i), foreign) },
		"ES256":       func(i int) string { return ecStranger.token(fmt.Sprintf(claims, i)) },
		"unknown_kid": func(i int) string { return ecNext.token(fmt.Sprintf(claims, i)) },
		"malformed":   func(i int) string { return fmt.Sprintf("%d.b.c", i) },
	} {
		b.Run(name, func(b *testing.B) {
			all := []Credentials{}
			for i := range 1 << 12 {
				all = append(all, bearer(token(i)))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				// Beyond the memory for bad tokens, or it is time for them again.
				if _, failure := v.Check(all[i%len(all)], true, now.Add(time.Duration(i/len(all))*badFor)); failure == nil {
					b.Fatal("it was accepted")
				}
			}
		})
	}
}
