package projects

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// What stands in the place of a secret and was never meant is refused, and no random secret is.
func TestCheckSecret(t *testing.T) {
	const good = "0123456789abcdef-0123456789abcdef"
	for _, text := range []string{
		"${NAME}", "${NAME:-default}", "a${NAME}b", "$NAME", "%NAME%", "{$NAME}", "{env.NAME", "{env:NAME}", "{ENV.NAME}", "{{NAME}}",
		"{{ .Values.name }}", "$(cat /run/secret)", "`cat /run/secret`", "<your-secret>", "<YOUR SECRET>", `"` + good + `"`, "'" + good + "'",
		good + "\n", good + "\r", "\t" + good, " " + good, good + " ", good + "\x00", good[:10] + "\x7f" + good, "\u201c" + good + "\u201d",
		"\u2018" + good + "\u2019", "\ufeff" + good, good + "\u200b", good[:5] + "\u00a0" + good, good + "\u2026", "\u00ab" + good + "\u00bb",
	} {
		err := CheckSecret(text)
		if err == nil {
			t.Errorf("%q is accepted", text)
		} else if strings.Contains(err.Error(), good) {
			t.Errorf("%q is repeated in %v", text, err)
		}
	}
	for _, text := range []string{
		good, "super-secret-jwt-token-with-at-least-32-characters-long", "a pass phrase with spaces", "pa$$word-with-$ign", "100%-sure-50%",
		"{braces}", "a<b>c", `it's "quoted" inside`, "sb_publishable_abc", "geh\u00e4use", "$2b$10$abcdefghijklmnopqrstuv",
		"eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "https://user@host/?a=1",
	} {
		if err := CheckSecret(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for range 2000 {
		random := make([]byte, 48)
		rand.Read(random)
		for _, text := range []string{hex.EncodeToString(random), base64.StdEncoding.EncodeToString(random), base64.RawURLEncoding.EncodeToString(random)} {
			if err := CheckSecret(text); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if why := looksUnfinished(text); why != "" && !strings.Contains(strings.ToLower(text), "your") {
				t.Errorf("%q: %s", text, why)
			}
		}
	}
}

// A key pasted as PEM is called that, before its lines are called control characters.
func TestCheckSecretKnowsPEM(t *testing.T) {
	for _, text := range []string{
		"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n", "\r\n-----BEGIN RSA PRIVATE KEY-----\r\nMIIE",
	} {
		if err := CheckSecret(text); err == nil || !strings.HasPrefix(err.Error(), "is a PEM file, not a shared secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What may be meant and wants a second look is a problem, which refuses nothing.
func TestUnfinishedSecretsAreProblems(t *testing.T) {
	for text, want := range map[string]bool{
		"changeme-changeme-changeme-and-more-of-it": true, "please-change-me-before-you-go-to-production": true,
		"your-secret-of-at-least-thirty-two-characters": true, "schl\u00fcssel-der-lang-genug-ist-0123456789": true,
		"0123456789abcdef-0123456789abcdef-fedcba": false,
	} {
		builder, err := NewBuilder(BuilderConfig{})
		if err != nil {
			t.Fatal(err)
		}
		_, problems, err := builder.Project(ProjectConfig{JWT: &JWTConfig{Secret: text}})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := len(problems) == 1 && problems[0].Path == "jwt.secret"; got != want {
			t.Errorf("%q: %v", text, problems)
		}
	}
}
