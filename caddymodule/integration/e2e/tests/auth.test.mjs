// Section 3: who may call.
import assert from "node:assert/strict";
import { test } from "node:test";
import { anonJwt, bearer, jwtSecret, now, publishableKey, secretKey, send, sign } from "./support.mjs";

const FORMAT = "UNAUTHORIZED_INVALID_JWT_FORMAT";
const LEGACY = "UNAUTHORIZED_LEGACY_JWT";
const UNSUPPORTED = "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM";
const SCHEME = "Auth header is not 'Bearer {token}'";
const shape = (header) => sign({ role: "anon" }, { header });

const refused = [
  ["contract 3.2 no Authorization, no apikey", {}, "UNAUTHORIZED_NO_AUTH_HEADER", "Missing authorization header"],
  ["contract 3.3 Basic", { authorization: "Basic YTpi" }, FORMAT, SCHEME],
  ["contract 3.3 lower-case bearer", { authorization: `bearer ${anonJwt}` }, FORMAT, SCHEME],
  ["contract 3.3 bare token", { authorization: anonJwt }, FORMAT, SCHEME],
  ["contract 3.3 two parts", { authorization: `Bearer ${anonJwt} ${anonJwt}` }, FORMAT, SCHEME],
  ["contract 3.4 undecodable", { authorization: "Bearer not.a.jwt" }, FORMAT, "Invalid JWT"],
  ["contract 3.4 one segment", { authorization: "Bearer abc" }, FORMAT, "Invalid JWT"],
  ["contract 3.4 no alg", { authorization: `Bearer ${shape({ typ: "JWT" })}` }, FORMAT, "Invalid JWT"],
  ["contract 3.5 wrong secret", { authorization: `Bearer ${sign({}, { secret: "x".repeat(40) })}` }, LEGACY, "Invalid JWT"],
  ["contract 3.5 expired", { authorization: `Bearer ${sign({ exp: now() - 5 })}` }, LEGACY, "Invalid JWT"],
  ["contract 3.5 not yet", { authorization: `Bearer ${sign({ nbf: now() + 600 })}` }, LEGACY, "Invalid JWT"],
  ["contract 3.5 cut signature", { authorization: `Bearer ${anonJwt.slice(0, -4)}` }, LEGACY, "Invalid JWT"],
  ...["none", "PS256", "HS384", "EdDSA"].map((alg) => [
    `contract 3.7 ${alg}`,
    { authorization: `Bearer ${shape({ alg })}` },
    UNSUPPORTED,
    `Unsupported JWT algorithm ${alg}`,
  ]),
  ["contract 3.9 a bad Authorization beside a good apikey", { authorization: "Bearer abc", apikey: publishableKey }, FORMAT, "Invalid JWT"],
];
for (const [name, headers, code, message] of refused) {
  test(`${name}: 401 ${code}`, async () => {
    const res = await send("/functions/v1/echo", { headers });
    assert.equal(res.status, 401, res.text);
    assert.deepEqual(res.json(), { code, message });
    assert.equal(res.headers["sb-error-code"], code);
  });
}

const unknownKeys = [
  ["apikey opaque", { apikey: "sb_publishable_nope" }],
  ["apikey of no shape", { apikey: "hunter2" }],
  ["apikey opaque beside a good token", { apikey: "sb_secret_nope", ...bearer }],
  ["Bearer opaque", { authorization: "Bearer sb_publishable_nope" }],
  ["a known key with one byte more", { apikey: publishableKey + "x" }],
];
for (const [name, headers] of unknownKeys) {
  test(`contract 3.10 ${name}: 401 Invalid API key`, async () => {
    const res = await send("/functions/v1/echo", { headers });
    assert.equal(res.status, 401, res.text);
    assert.deepEqual(res.json(), { message: "Invalid API key" });
    assert.equal(res.headers["sb-error-code"], "UNAUTHORIZED_INVALID_API_KEY");
  });
}

test("contract 3.10 an unknown apikey is refused with verify_jwt off too, never on a preflight", async () => {
  const headers = { apikey: "sb_publishable_nope" };
  const preflight = { ...headers, origin: "https://friend.example", "access-control-request-method": "POST" };
  assert.equal((await send("/functions/v1/public-echo", { headers })).status, 401);
  assert.equal((await send("/functions/v1/public-echo", { headers: preflight, method: "OPTIONS" })).status, 204);
  assert.equal((await send("/functions/v1/origin-private", { headers: preflight, method: "OPTIONS" })).status, 200);
  assert.equal((await send("/functions/v1/origin-private", { headers, method: "OPTIONS" })).status, 401);
});

const allowed = [
  ["contract 3.8 HS256 without exp", bearer],
  ["contract 3.8 any role, aud, iss", { authorization: `Bearer ${sign({ role: "x", aud: "y", iss: "z", exp: now() + 60 })}` }],
  ["contract 3.9 publishable key alone", { apikey: publishableKey }],
  ["contract 3.9 secret key alone", { apikey: secretKey }],
  ["contract 3.9 a known key as Bearer", { authorization: `Bearer ${publishableKey}` }],
  ["contract 3.9 a known key on both headers", { authorization: `Bearer ${secretKey}`, apikey: secretKey }],
  ["contract 3.9 token and publishable key", { ...bearer, apikey: publishableKey }],
  ["contract 3.11 a secret key from Node, whose fetch sends Sec-Fetch-Mode", { apikey: secretKey, "sec-fetch-mode": "cors" }],
];
for (const [name, headers] of allowed) {
  test(`${name} is let in`, async () => {
    const res = await send("/functions/v1/echo", { headers });
    assert.equal(res.status, 200, res.text);
    for (const [key, value] of Object.entries(headers)) assert.equal(res.json().headers[key], value, "contract 1.8 passes unchanged");
  });
}

test("contract 3.9 with verify_jwt off Authorization passes unread", async () => {
  for (const authorization of ["Bearer nonsense", "Basic YTpi", `Bearer ${sign({}, { secret: jwtSecret + "no" })}`]) {
    const res = await send("/functions/v1/public-echo", { headers: { authorization } });
    assert.equal(res.status, 200, res.text);
    assert.equal(res.json().headers.authorization, authorization);
  }
});

const browsers = [
  ["Origin", { origin: "https://app.example" }],
  ["Sec-Fetch-Site", { "sec-fetch-site": "cross-site" }],
  ["a browser's User-Agent", { "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0" }],
];
for (const [name, headers] of browsers) {
  test(`contract 3.11 a secret key with ${name} is 401 UNAUTHORIZED_SECRET_KEY_IN_BROWSER`, async () => {
    for (const carrier of [{ apikey: secretKey }, { authorization: `Bearer ${secretKey}`, apikey: secretKey }]) {
      const res = await send("/functions/v1/echo", { headers: { ...carrier, ...headers } });
      assert.equal(res.status, 401, res.text);
      assert.equal(res.headers["sb-error-code"], "UNAUTHORIZED_SECRET_KEY_IN_BROWSER");
    }
    const publishable = await send("/functions/v1/echo", { headers: { apikey: publishableKey, ...headers } });
    assert.equal(publishable.status, 200, "a publishable key may be used in browsers");
  });
}

test("contract 4.2 OPTIONS that is no preflight is answered without a key, and runs nothing", async () => {
  const res = await send("/functions/v1/echo", { method: "OPTIONS" });
  assert.equal(res.status, 204, res.text);
  assert.equal(res.headers.allow, "GET, POST, PUT, PATCH, DELETE, OPTIONS");
});
