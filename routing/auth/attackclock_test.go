package auth

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// second is the boundary of the tests of this file.
const second = 1_800_000_000

// signers make a token of every algorithm.
func signers() map[string]func(payload string) string {
	return map[string]func(payload string) string{
		"HS256": func(payload string) string { return sign(hs256, payload, secret) },
		"ES256": ecPair.token, "RS256": rsaPair.token, "EdDSA": edPair.token,
	}
}

// Contract 3.5, 3.6, 3.8: a token is good while nbf <= now < exp, to the nanosecond,
// whatever it was found to be a moment ago and wherever the clock jumps.
func TestAttackClock(t *testing.T) {
	boundaries := map[string]struct {
		text string
		at   time.Time
	}{
		"whole":           {"1800000000", time.Unix(second, 0)},
		"exponent":        {"1.8e9", time.Unix(second, 0)},
		"zero decimals":   {"1800000000.000", time.Unix(second, 0)},
		"a quarter":       {"1800000000.25", time.Unix(second, 250_000_000)},
		"a half":          {"1800000000.5", time.Unix(second, 500_000_000)},
		"an eighth":       {"1.800000000125e9", time.Unix(second, 125_000_000)},
		"a 1,024th":       {"1800000000.0009765625", time.Unix(second, 976_562)},
		"before 1970":     {"-86400", time.Unix(-86400, 0)},
		"before, decimal": {"-0.5", time.Unix(-1, 500_000_000)},
		"the year 10889":  {"281474976710", time.Unix(281_474_976_710, 0)},
	}
	const before, at, after = -time.Nanosecond, time.Duration(0), time.Nanosecond
	jumps := map[string][]time.Duration{
		"first seen before": {before, at, after, before, time.Hour, -time.Hour, at},
		"first seen at":     {at, before, at, after, before},
		"first seen after":  {after, before, at, 24 * time.Hour, before, -24 * time.Hour, after},
		"back and forth":    {-time.Hour, time.Hour, -time.Hour, time.Hour, before, at, before, at},
		"a second each":     {-2 * time.Second, -time.Second, at, time.Second, -time.Second, 2 * time.Second},
		"by years":          {-50 * 365 * 24 * time.Hour, 50 * 365 * 24 * time.Hour, before, at},
	}
	c := besieged(t)
	plain := verifierOf(t, c)
	for alg, token := range signers() {
		for name, boundary := range boundaries {
			expires := token(`{"exp":` + boundary.text + `}`)
			begins := token(`{"nbf":` + boundary.text + `}`)
			for order, offsets := range jumps {
				t.Run(fmt.Sprint(alg, ", ", name, ", ", order), func(t *testing.T) {
					c := c
					c.Shared = NewShared(SharedConfig{})
					remembering := verifierOf(t, c)
					for _, offset := range offsets {
						now := boundary.at.Add(offset)
						for how, v := range map[string]*Verifier{"plain": plain, "remembering": remembering} {
							// The second time it is remembered for sure.
							for range 2 {
								if _, err := refusal(v, expires, now); (offset < 0) != (err == nil) || err != nil && !errors.Is(err, ErrExpired) {
									t.Fatalf("%s: exp and %v: %v", how, offset, err)
								}
								if _, err := refusal(v, begins, now); (offset >= 0) != (err == nil) || err != nil && !errors.Is(err, ErrNotYetValid) {
									t.Fatalf("%s: nbf and %v: %v", how, offset, err)
								}
							}
						}
					}
					if stats := c.Shared.Stats(); stats.Hits == 0 {
						t.Errorf("nothing came from memory: %+v", stats)
					}
				})
			}
		}
	}
}

// Contract 3.8: leeway moves the same boundaries, remembered or not, and is part of
// what a token was remembered by: a project without it does not profit.
func TestAttackClockLeeway(t *testing.T) {
	shared := NewShared(SharedConfig{})
	strict := besieged(t)
	strict.Shared = shared
	lenient := strict
	lenient.Leeway = time.Minute
	vs, vl := verifierOf(t, strict), verifierOf(t, lenient)
	for alg, token := range signers() {
		expires, begins := token(`{"exp":1800000000}`), token(`{"nbf":1800000000}`)
		for _, tt := range []struct {
			offset          time.Duration
			strict, lenient [2]bool // exp, nbf
		}{
			{-time.Minute - 1, [2]bool{true, false}, [2]bool{true, false}},
			{-time.Minute, [2]bool{true, false}, [2]bool{true, true}},
			{-1, [2]bool{true, false}, [2]bool{true, true}},
			{0, [2]bool{false, true}, [2]bool{true, true}},
			{time.Minute - 1, [2]bool{false, true}, [2]bool{true, true}},
			{time.Minute, [2]bool{false, true}, [2]bool{false, true}},
			{0, [2]bool{false, true}, [2]bool{true, true}},
		} {
			now := time.Unix(second, 0).Add(tt.offset)
			for range 2 {
				for v, want := range map[*Verifier][2]bool{vl: tt.lenient, vs: tt.strict} {
					for i, token := range []string{expires, begins} {
						if _, err := refusal(v, token, now); (err == nil) != want[i] {
							t.Errorf("%s %s at %v, leeway %v: %v", alg, [2]string{"exp", "nbf"}[i], tt.offset, v.rules.leeway, err)
						}
					}
				}
			}
		}
	}
}

// Contract 3.5, 3.6: a date that cannot be read is no date that never comes.
func TestAttackDates(t *testing.T) {
	attacks := map[string]attack{}
	for value, err := range map[string]error{
		`null`: ErrClaims, `"1900000000"`: ErrClaims, `""`: ErrClaims, `"never"`: ErrClaims, `"2030-01-01T00:00:00Z"`: ErrClaims, `true`: ErrClaims, `false`: ErrClaims, `{}`: ErrClaims, `[]`: ErrClaims,
		`[1900000000]`: ErrClaims, `{"$date":1900000000}`: ErrClaims, `1e400`: ErrClaims, `-1e400`: ErrClaims, `1e308`: ErrClaims, `9223372036854775807`: ErrClaims, `9223372036854775808`: ErrClaims,
		`18446744073709551615`: ErrClaims, `18446744073709551616`: ErrClaims, `-9223372036854775809`: ErrClaims, `9223372036`: nil, `4294967296`: nil, `4294967295`: nil, `2147483647`: nil, `2147483648`: nil,
		`1e18`: ErrClaims, `9007199254740993`: ErrClaims, `253402300799`: nil, `253402300800`: nil, `1e-400`: ErrExpired, `0`: ErrExpired, `-0`: ErrExpired, `0e99`: ErrExpired, `-1`: ErrExpired, `-1e15`: ErrExpired,
		`1.8e9`: ErrExpired, `1800000000.5`: ErrExpired, `1800000000.49999`: ErrExpired, `1800000000.6`: nil, `18000000005e-1`: ErrExpired, `18000000006e-1`: nil, `1800000001`: nil, `1800000000`: ErrExpired,
	} {
		for alg, token := range signers() {
			code := CodeAsymmetricJWT
			if alg == algHS256 {
				code = CodeLegacyJWT
			}
			if err == nil {
				code = ""
			}
			attacks[alg+" exp "+value] = attack{token(`{"exp":` + value + `}`), err, code}
			if errors.Is(err, ErrClaims) {
				attacks[alg+" nbf "+value] = attack{token(`{"nbf":` + value + `}`), err, code}
			}
		}
	}
	repel(t, besieged(t), attacks)
}
