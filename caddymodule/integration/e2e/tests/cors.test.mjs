// Section 4 under the default policy: any origin, no credentials.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bearer, list, secretKey, send } from "./support.mjs";

const origin = "https://app.example";
const preflight = (headers = "", method = "POST") => ({
  method: "OPTIONS",
  headers: {
    origin,
    "access-control-request-method": method,
    ...(headers && { "access-control-request-headers": headers }),
  },
});
const exposed = [
  "sb-error-code", "sb-request-id", "x-sb-edge-region", "x-sb-region-reason", "retry-after", "www-authenticate",
  "ratelimit", "ratelimit-policy", "x-sb-quota-remaining",
];

function readable(res) {
  assert.deepEqual(res.all("access-control-allow-origin"), ["*"]);
  const names = list(res.headers["access-control-expose-headers"]);
  for (const name of exposed) assert.ok(names.includes(name), `${name} is exposed`);
}

test("contract 4.2 a preflight is answered 204 by the gateway", async () => {
  const res = await send("/functions/v1/echo", preflight("x-custom, content-type"));
  assert.equal(res.status, 204);
  assert.equal(res.bytes.length, 0);
  assert.deepEqual(res.all("access-control-allow-origin"), ["*"]);
  assert.deepEqual(list(res.headers["access-control-allow-methods"]), ["get", "post", "put", "patch", "delete", "options"]);
  const allowed = list(res.headers["access-control-allow-headers"]);
  for (const name of ["x-custom", "authorization", "x-client-info", "apikey", "content-type", "x-region"]) {
    assert.ok(allowed.includes(name), `${name} is allowed`);
  }
  assert.equal(res.headers["access-control-max-age"], "7200");
  assert.ok(res.headers.vary, "Vary is set");
  assert.equal(res.headers["content-type"], undefined);
  assert.equal(res.headers["access-control-allow-credentials"], undefined);
});

test("contract 4.2 a preflight touches no backend: its answer has no region and no execution", async () => {
  const res = await send("/functions/v1/own-cors", preflight());
  assert.equal(res.status, 204);
  assert.equal(res.headers["x-from-function"], undefined);
  assert.equal(res.headers["x-served-by"], undefined);
});

test("contract 4.2 x-region is allowed in a preflight even when the browser did not ask", async () => {
  const res = await send("/functions/v1/echo", preflight());
  assert.ok(list(res.headers["access-control-allow-headers"]).includes("x-region"));
});

const noPreflights = [
  ["without Access-Control-Request-Method", { origin }],
  ["without Origin", { "access-control-request-method": "POST" }],
  ["bare", {}],
];
for (const [name, headers] of noPreflights) {
  test(`contract 4.2 OPTIONS ${name} is answered by the gateway`, async () => {
    const res = await send("/functions/v1/public-echo", { method: "OPTIONS", headers });
    assert.equal(res.status, 204);
    assert.equal(res.headers.allow, "GET, POST, PUT, PATCH, DELETE, OPTIONS");
    assert.equal(res.headers["x-sb-edge-region"], undefined);
    if (headers.origin) readable(res);
  });
}

test("contract 4.3 a function without CORS headers gets ours", async () => {
  const res = await send("/functions/v1/echo", { headers: { origin, ...bearer } });
  assert.equal(res.status, 200);
  readable(res);
});

test("contract 4.3 a function's own Access-Control-Allow-Origin stays, once", async () => {
  const res = await send("/functions/v1/own-cors", { headers: { origin } });
  assert.deepEqual(res.all("access-control-allow-origin"), ["https://set-by-function.example"]);
});

test("contract 4.5 the function's exposed headers are merged with ours", async () => {
  const res = await send("/functions/v1/own-cors", { headers: { origin } });
  const names = list(res.all("access-control-expose-headers").join(","));
  for (const name of [...exposed, "x-from-function"]) assert.ok(names.includes(name), `${name} in ${names}`);
});

test("contract 4.4 without Origin no CORS header of ours is added", async () => {
  const ok = await send("/functions/v1/echo", { headers: bearer });
  const refused = await send("/functions/v1/echo");
  for (const res of [ok, refused]) {
    for (const name of Object.keys(res.headers)) assert.ok(!name.startsWith("access-control-"), name);
  }
});

const answers = [
  ["400 INVALID_REGION", "/functions/v1/public-echo", { headers: { "x-region": "mars-1" } }, 400],
  ["400 INVALID_URL", "/functions/v1/public-echo/%252e%252e/x", {}, 400],
  ["401", "/functions/v1/echo", {}, 401],
  ["401 for an API key", "/functions/v1/public-echo", { headers: { apikey: "sb_publishable_nope" } }, 401],
  ["401 for a secret key in a browser", "/functions/v1/public-echo", { headers: { apikey: secretKey } }, 401],
  ["404", "/functions/v1/no-such", {}, 404],
  ["404 beside the functions", "/elsewhere", {}, 404],
  ["405", "/functions/v1/echo", { method: "PROPFIND" }, 405],
];
for (const [name, path, options, status] of answers) {
  test(`contract 4.4 a browser may read the gateway answer ${name}`, async () => {
    const res = await send(path, { ...options, headers: { ...options.headers, origin } });
    assert.equal(res.status, status, res.text);
    readable(res);
  });
}

for (const [path, status] of [["crash", 500], ["worker-limit", 546], ["boot-error", 503], ["status?code=404", 404]]) {
  test(`contract 4.4 a browser may read the function's ${status} of ${path}`, async () => {
    const res = await send(`/functions/v1/${path}`, { headers: { origin } });
    assert.equal(res.status, status);
    readable(res);
  });
}

for (const path of ["/functions/v1/no-such", "/elsewhere", "/functions/v1/public-echo/%252e%252e/%252e%252e/x", "/functions/v1/"]) {
  test(`contract 4.7 a preflight to ${path} is 204, so that the call itself can say why it fails`, async () => {
    const res = await send(path, preflight());
    assert.equal(res.status, 204);
    assert.deepEqual(res.all("access-control-allow-origin"), ["*"]);
  });
}

const friend = "https://friend.example";
test("contract 4.1 cors function: the preflight reaches the function and its answer passes untouched", async () => {
  const options = preflight();
  options.headers.origin = friend;
  const res = await send("/functions/v1/origin-private", options);
  assert.equal(res.status, 200, "the function's status, not 204");
  assert.deepEqual(res.all("access-control-allow-origin"), [friend]);
  assert.equal(res.headers["access-control-allow-methods"], "POST");
  assert.equal(res.headers["access-control-allow-headers"], undefined);
  assert.equal(res.headers["access-control-max-age"], undefined);
});

test("contract 4.1 cors function: a refused origin is the function's 403 and gets no origin from us", async () => {
  for (const options of [preflight(), { method: "POST", headers: { origin } }]) {
    const res = await send("/functions/v1/origin-private", options);
    assert.equal(res.status, 403);
    assert.equal(res.headers["access-control-allow-origin"], undefined);
  }
});
