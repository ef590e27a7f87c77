package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// signText signs the first two parts of a token as they stand, however odd.
func signText(text string, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + b64(string(mac.Sum(nil)))
}

// odd is text whose base64url has both characters in which the alphabets differ,
// and, with n of 1 or 2, that many bytes in its last group, so that bits are left over.
func odd(text string, n int) string {
	text = text[:len(text)-1] + `,"x":"???>>>~~~???>>>"}`
	for len(text)%3 != n {
		text += " "
	}
	return text
}

// misspellings are ways to write base64url that a lenient decoder takes for the same.
func misspellings(part string) map[string]string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	all := map[string]string{
		"padded": part + strings.Repeat("=", (4-len(part)%4)%4), "padded by one": part + "=", "padded twice": part + "====", "padded within": part[:4] + "=" + part[4:],
		"padded by %3D":     part + "%3D",
		"standard alphabet": strings.NewReplacer("-", "+", "_", "/").Replace(part),
		"trailing bit":      part[:len(part)-1] + alphabet[last|1:][:1], "all trailing bits": part[:len(part)-1] + alphabet[last|3:][:1],
		"a character more": part + "A", "two more": part + "AA", "a character less": part[:len(part)-1],
		"NUL at the end": part + "\x00", "NUL within": part[:4] + "\x00" + part[4:], "DEL": part + "\x7f", "ESC": part[:4] + "\x1b" + part[4:],
		"no-break space": part + "\u00a0", "zero-width space": part[:4] + "\u200b" + part[4:], "BOM": "\ufeff" + part, "invalid UTF-8": part[:4] + "\xff" + part[4:],
		"full width": "ｅ" + part[1:], "?": part + "?", "#": part + "#", "%": part[:4] + "%2d" + part[4:], ",": part + ",", "quoted": `"` + part + `"`, "~": part + "~",
	}
	for name, text := range all {
		if text == part {
			delete(all, name)
		}
	}
	return all
}

// Contract 3.4 to 3.6, RFC 7515 section 2: base64url has one spelling. The parts are
// signed as they are misspelled, so it is not the signature that refuses them.
func TestAttackBase64(t *testing.T) {
	header, payload := b64(odd(hs256, 1)), b64(odd(`{"exp":1900000000}`, 1))
	good := signText(header+"."+payload, secret)
	attacks := map[string]attack{"control": {token: good}, "control, two bytes over": {token: sign(odd(hs256, 2), odd(`{"exp":1900000000}`, 2), secret)}}
	for name, text := range misspellings(header) {
		attacks["header "+name] = attack{signText(text+"."+payload, secret), ErrMalformed, CodeInvalidFormat}
	}
	for name, text := range misspellings(payload) {
		attacks["payload "+name] = attack{signText(header+"."+text, secret), ErrClaims, CodeLegacyJWT}
	}
	if len(attacks) < 50 {
		t.Errorf("only %d misspellings: the texts are not odd enough", len(attacks))
	}
	for _, p := range []pair{ecPair, rsaPair, edPair} {
		token := p.token(`{}`)
		i := strings.LastIndexByte(token, '.') + 1
		attacks["control, "+p.alg] = attack{token: token}
		for name, text := range misspellings(token[i:]) {
			attacks[p.alg+" signature "+name] = attack{token[:i] + text, ErrSignature, CodeAsymmetricJWT}
		}
	}
	i := strings.LastIndexByte(good, '.') + 1
	for name, text := range misspellings(good[i:]) {
		attacks["HS256 signature "+name] = attack{good[:i] + text, ErrSignature, CodeLegacyJWT}
	}
	// White space ends a token where Authorization is read, base64 would skip some.
	for name, space := range map[string]string{"space": " ", "tab": "\t", "CR": "\r", "LF": "\n", "CRLF": "\r\n", "VT": "\v", "FF": "\f"} {
		for where, text := range map[string]string{
			"in the header": signText(header[:4]+space+header[4:]+"."+payload, secret), "in the payload": signText(header+"."+payload[:4]+space+payload[4:], secret),
			"after the header": signText(header+space+"."+payload, secret), "before the payload": signText(header+"."+space+payload, secret),
			"in the signature": good[:i+4] + space + good[i+4:], "at the end": good + space, "at the front": space + good,
		} {
			if strings.Trim(" Bearer "+text, " \t") == "Bearer "+good {
				continue // space round a header's value is none of it (RFC 9110 section 5.5)
			}
			attacks[name+" "+where] = attack{text, ErrFormat, CodeInvalidFormat}
		}
	}
	repel(t, besieged(t), attacks)
}

// Contract 3.4: a token has three parts. More are an encrypted one (JWE) or nothing.
func TestAttackParts(t *testing.T) {
	good := sign(hs256, `{}`, secret)
	parts := strings.Split(good, ".")
	jwe := b64(`{"alg":"dir","enc":"A256GCM"}`) + ".." + b64("initialisation") + "." + b64("ciphertext") + "." + b64("authentication")
	attacks := map[string]attack{"control": {token: good}}
	for name, text := range map[string]string{
		"1 part": parts[0], "2 parts": parts[0] + "." + parts[1], "2 parts, header and signature": parts[0] + "." + parts[2],
		"4 parts, none last": good + ".", "4 parts": good + "." + parts[2], "4 parts, none first": "." + good, "5 parts": good + ".." + parts[2],
		"5 parts, twice": good + "." + parts[1] + "." + parts[2], "JWE": jwe, "JWE called HS256": b64(hs256) + "." + strings.SplitN(jwe, ".", 2)[1],
		"6 parts": good + "." + good, "only dots": "..", "no header": "." + parts[1] + "." + parts[2], "dots in a row": parts[0] + "." + good, "%2E": strings.ReplaceAll(good, ".", "%2E"),
		"full-width dots": strings.ReplaceAll(good, ".", "．"), "JSON serialization": `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"with a disclosure, RFC 9901": good + "~" + b64(`["salt","role","admin"]`) + "~.",
	} {
		attacks[name] = attack{text, ErrMalformed, CodeInvalidFormat}
	}
	attacks["no payload"] = attack{signText(parts[0]+".", secret), ErrClaims, CodeLegacyJWT}
	attacks["no signature"] = attack{parts[0] + "." + parts[1] + ".", ErrSignature, CodeLegacyJWT}
	attacks["signed in another order"] = attack{parts[0] + "." + parts[1] + "." + hmacPart(parts[1]+"."+parts[0]), ErrSignature, CodeLegacyJWT}
	attacks["signed without its dot"] = attack{parts[0] + "." + parts[1] + "." + hmacPart(parts[0]+parts[1]), ErrSignature, CodeLegacyJWT}
	attacks["a nested token, RFC 7519 section 5.2"] = attack{sign(`{"alg":"HS256","cty":"JWT"}`, good, secret), ErrClaims, CodeLegacyJWT}
	repel(t, besieged(t), attacks)
}

func hmacPart(text string) string { return strings.TrimPrefix(signText(text, secret), text+".") }

// Contract 3.4 to 3.6: texts that some readers take for a JSON object. They are
// properly signed.
func TestAttackJSON(t *testing.T) {
	attacks := map[string]attack{
		"control, spaces":              {token: sign(" \t\r\n{ \"alg\" : \"HS256\" } ", "\n{}\n", secret)},
		"control, escapes":             {token: sign(`{"\u0061lg":"\u0048S256"}`, `{"\u0065xp":1900000000}`, secret)},
		"alg a duplicate by escapes":   {sign(`{"alg":"HS256","\u0061lg":"HS256"}`, `{}`, secret), ErrMalformed, CodeInvalidFormat},
		"control, nested 9,000 levels": {token: sign(hs256, `{"x":`+nested(9_000)+`}`, secret)},
	}
	utf16 := func(text string) string { return "\xff\xfe" + strings.Join(strings.Split(text, ""), "\x00") + "\x00" }
	for name, spoil := range map[string]func(object string) string{
		"BOM": func(o string) string { return "\ufeff" + o }, "UTF-16": utf16, "NUL after": func(o string) string { return o + "\x00" }, "NUL before": func(o string) string { return "\x00" + o },
		"comment": func(o string) string { return o[:len(o)-1] + `/* */}` }, "comment after": func(o string) string { return o + "//" }, "trailing comma": func(o string) string { return o[:len(o)-1] + `,}` },
		"two objects": func(o string) string { return o + o }, "more after": func(o string) string { return o + "x" }, "array": func(o string) string { return "[" + o + "]" }, "text": quoted,
		"cut": func(o string) string { return o[:len(o)-1] }, "single quotes": func(o string) string { return strings.ReplaceAll(o, `"`, `'`) }, "no quotes": func(o string) string { return strings.ReplaceAll(o, `"`, ``) },
		"NaN": func(o string) string { return o[:len(o)-1] + `,"x":NaN}` }, "Infinity": func(o string) string { return o[:len(o)-1] + `,"x":-Infinity}` }, "hexadecimal": func(o string) string { return o[:len(o)-1] + `,"x":0x10}` },
		"leading zero": func(o string) string { return o[:len(o)-1] + `,"x":01}` }, "plus": func(o string) string { return o[:len(o)-1] + `,"x":+1}` }, "undefined": func(o string) string { return o[:len(o)-1] + `,"x":undefined}` },
		"control byte in a text": func(o string) string { return o[:len(o)-1] + ",\"x\":\"\x01\"}" }, "newline in a text": func(o string) string { return o[:len(o)-1] + ",\"x\":\"\n\"}" }, "NUL in a text": func(o string) string { return o[:len(o)-1] + ",\"x\":\"\x00\"}" },
		"bad escape": func(o string) string { return o[:len(o)-1] + `,"x":"\x41"}` }, "form feed": func(o string) string { return "\f" + o }, "no-break space": func(o string) string { return "\u00a0" + o }, "null": func(string) string { return `null` }, "nothing": func(string) string { return `` },
		"deep array": func(o string) string { return o[:len(o)-1] + `,"x":` + nested(15_000) + `}` }, "deep, never closed": func(o string) string { return o[:len(o)-1] + `,"x":` + strings.Repeat("[", 30_000) }, "deep objects": func(string) string { return strings.Repeat(`{"a":`, 8_000) }, "only brackets": func(string) string { return strings.Repeat(`[`, 40_000) },
	} {
		attacks["header "+name] = attack{sign(spoil(hs256), `{}`, secret), ErrMalformed, CodeInvalidFormat}
		attacks["claims "+name] = attack{sign(hs256, spoil(`{"sub":"s"}`), secret), ErrClaims, CodeLegacyJWT}
	}
	repel(t, besieged(t), attacks)
}

func nested(levels int) string {
	return strings.Repeat("[", levels) + strings.Repeat("]", levels)
}

// Contract 3.4: nothing beyond MaxTokenSize is decoded, properly signed or not.
func TestAttackHuge(t *testing.T) {
	attacks := map[string]attack{}
	filler := strings.Repeat("x", 1<<20)
	deep := nested(100_000)
	for name, token := range map[string]string{
		"claims of 1 MB": sign(hs256, `{"x":"`+filler+`"}`, secret), "header of 1 MB": sign(`{"alg":"HS256","x":"`+filler+`"}`, `{}`, secret),
		"alg of 1 MB": sign(`{"alg":"`+filler+`"}`, `{}`, secret), "kid of 1 MB": ecPair.sign(`{"alg":"ES256","kid":"`+filler+`"}`, `{}`),
		"signature of 1 MB": b64(hs256) + ".e30." + filler, "1 MB of dots": strings.Repeat(".", 1<<20), "1 MB of letters": filler, "1 MB of padding": strings.Repeat("=", 1<<20),
		"100,000 levels in the claims": sign(hs256, `{"x":`+deep+`}`, secret), "100,000 levels in the header": sign(`{"alg":"HS256","x":`+deep+`}`, `{}`, secret),
		"100,000 open levels": sign(deep[:100_000], deep[:100_000], secret), "1 MB of exp": sign(hs256, `{"exp":1`+strings.Repeat("0", 1<<20)+`}`, secret),
	} {
		attacks[name] = attack{token, ErrMalformed, CodeInvalidFormat}
	}
	attacks["exp of 40,000 digits"] = attack{sign(hs256, `{"exp":1`+strings.Repeat("0", 40_000)+`}`, secret), ErrClaims, CodeLegacyJWT}
	attacks["exp of 40,000 decimals"] = attack{sign(hs256, `{"exp":1.`+strings.Repeat("9", 40_000)+`}`, secret), ErrExpired, CodeLegacyJWT}
	attacks["4,000 claims"] = attack{token: sign(hs256, `{`+claimsOf(4_000)+`"exp":1900000000}`, secret)}
	attacks["4,000 claims and exp again"] = attack{sign(hs256, `{"exp":1,`+claimsOf(4_000)+`"exp":1900000000}`, secret), ErrClaims, CodeLegacyJWT}
	repel(t, besieged(t), attacks)
}

// claimsOf is many claims with names of their own.
func claimsOf(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"` + base64.RawURLEncoding.EncodeToString([]byte{byte(i), byte(i >> 8)}) + `":1,`)
	}
	return b.String()
}
