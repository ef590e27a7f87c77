// A site with an allow-list of origins and credentials, html keep, max_body 1MB and `function *`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bearer, list, send } from "./support.mjs";

const friend = "https://app.customer.org";
const second = "https://two.customer.org";
const stranger = "https://evil.example";
const echo = "/functions/v1/public-echo";
const preflight = (origin) => ({ method: "OPTIONS", headers: { origin, "access-control-request-method": "POST" } });

for (const origin of [friend, second]) {
  test(`contract 4.6 the listed origin ${origin} is echoed with credentials and Vary`, async () => {
    for (const options of [preflight(origin), { headers: { origin, ...bearer } }, { headers: { origin } }]) {
      const res = await send(echo, options);
      assert.deepEqual(res.all("access-control-allow-origin"), [origin]);
      assert.deepEqual(res.all("access-control-allow-credentials"), ["true"]);
      assert.ok(list(res.all("vary").join(",")).includes("origin"), String(res.all("vary")));
    }
  });
}

for (const origin of [stranger, "null", friend + ".evil.example", "http://app.customer.org", friend + ":8443"]) {
  test(`contract 4.4 the unlisted origin ${origin} gets no CORS headers but Vary: Origin`, async () => {
    for (const options of [preflight(origin), { headers: { origin, ...bearer } }, { headers: { origin } }]) {
      const res = await send(echo, options);
      assert.equal(res.headers["access-control-allow-origin"], undefined);
      assert.equal(res.headers["access-control-allow-credentials"], undefined);
      assert.ok(list(res.all("vary").join(",")).includes("origin"), String(res.all("vary")));
    }
  });
}

test("contract 4.1 cors function: a function's own headers pass, the site's list does not judge them", async () => {
  const res = await send("/functions/v1/own-cors", preflight(stranger));
  assert.equal(res.status, 200);
  assert.equal(res.text, "ok");
  assert.deepEqual(res.all("access-control-allow-origin"), ["https://set-by-function.example"]);
});

test("contract 4.1 cors function: nothing is added to what the function exposes", async () => {
  const res = await send("/functions/v1/own-cors", { headers: { origin: stranger } });
  assert.deepEqual(res.all("access-control-expose-headers"), ["x-from-function"], "contract 4.5 holds in auto alone");
});

test("contract 6.3 html keep of the site keeps HTML, cookies and missing types", async () => {
  const hono = await send("/functions/v1/page-nocontenttype", { headers: bearer });
  assert.equal(hono.status, 200);
  assert.equal(hono.headers["content-security-policy"], undefined);
  const cookies = await send("/functions/v1/cookies", { headers: bearer });
  assert.equal(cookies.all("set-cookie").length, 2, "6.4");
});

test("contract 6.3 a function's html beats the site's", async () => {
  const res = await send("/functions/v1/page");
  assert.match(res.headers["content-type"], /^text\/plain/);
  assert.equal(res.headers["content-security-policy"], "default-src 'none'; sandbox");
});

test("contract 1.7 function *: a slug that is not deployed is the backend's own 404", async () => {
  const res = await send("/functions/v1/never-deployed", { headers: bearer });
  assert.equal(res.status, 404);
  assert.deepEqual(res.json(), { code: "NO_SUCH_FUNCTION", slug: "never-deployed" });
  assert.equal(res.headers["sb-error-code"], undefined);
  assert.ok(res.headers["x-sb-edge-region"]);
});

test("contract 3.1 function * verifies JWTs by default", async () => {
  assert.equal((await send("/functions/v1/never-deployed")).status, 401);
});

for (const path of ["/functions/v1/_internal", "/functions/v1/_internal/secret", "/functions/v1/_internal/health", "/_internal/secret"]) {
  test(`contract 1.6 function * does not open ${path}`, async () => {
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const res = await send(path, { method, headers: bearer });
      assert.equal(res.status, 404, `${method}: ${res.text}`);
      assert.doesNotMatch(res.text, /stay-inside|"ok"/);
    }
  });
}

test("5 413 PAYLOAD_TOO_LARGE past max_body by Content-Length, after 401 and before the region's 400", async () => {
  const tooBig = (headers) => send("/functions/v1/upload", {
    method: "POST",
    headers: { "content-length": 1_000_001, connection: "keep-alive", ...headers },
    body: Buffer.alloc(1_000_001),
  });
  const res = await tooBig(bearer);
  assert.equal(res.status, 413, res.text);
  assert.equal(res.json().code, "PAYLOAD_TOO_LARGE");
  assert.equal(res.headers["sb-error-code"], "PAYLOAD_TOO_LARGE");
  assert.equal((await tooBig({})).status, 401);
  assert.equal((await tooBig({ ...bearer, "x-region": "mars-1" })).status, 413);
});

test("5 413 PAYLOAD_TOO_LARGE for a chunked body that grows past max_body", async () => {
  const res = await send("/functions/v1/upload", {
    method: "POST",
    headers: { ...bearer, "transfer-encoding": "chunked", connection: "keep-alive" },
    body: Buffer.alloc(3_000_000),
  });
  assert.equal(res.status, 413, res.text);
});

test("contract 5.10 a body of exactly max_body passes", async () => {
  const res = await send("/functions/v1/upload", {
    method: "POST",
    headers: { ...bearer, "content-length": 1_000_000 },
    body: Buffer.alloc(1_000_000),
  });
  assert.equal(res.status, 200, res.text);
  assert.equal(res.json().length, 1_000_000);
});
