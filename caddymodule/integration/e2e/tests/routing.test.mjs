// Section 1: which path names which function.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bearer, ownHost, send, url } from "./support.mjs";

const notFound = [
  "/functions/v1/",
  "/functions/v1",
  "/functions/v1//public-echo",
  "/functions/v1/public%2Decho",
  "/functions/v1/Public-Echo",
  "/functions/v1/.",
  "/functions/v1/..",
  "/functions/v1/no-such",
  "/functions/v1/_shared",
  "/functions/v1/public-echo%2Fx",
  "/functions/v1/public-echo;x",
];
for (const path of notFound) {
  test(`contract 1.4 ${path} is 404 NOT_FOUND`, async () => {
    const res = await send(path);
    assert.equal(res.status, 404);
    assert.deepEqual(res.json(), { code: "NOT_FOUND", message: "Requested function was not found" });
    assert.equal(res.headers["sb-error-code"], "NOT_FOUND");
    assert.match(res.headers["content-type"], /^application\/json/);
  });
}

for (const path of ["/", "/index.html", "/functions/v2/public-echo", "/public-echo", "/_internal/health", "/rest/v1/x"]) {
  test(`contract 1.7 ${path} is no function's path: 404 NOT_FOUND`, async () => {
    const res = await send(path);
    assert.equal(res.status, 404);
    assert.equal(res.json().code, "NOT_FOUND");
  });
}

for (const host of ["anything.example", ownHost, "127.0.0.1"]) {
  test(`contract 1.1 in single-project mode the host ${host} reaches the project`, async () => {
    const res = await send("/functions/v1/public-echo/a/b?c=d&c=e", { headers: { host } });
    assert.equal(res.status, 200);
    const { path, query, headers } = res.json();
    assert.equal(path, "/public-echo/a/b");
    assert.equal(query, "?c=d&c=e");
    assert.equal(headers.host, host);
    assert.equal(headers["x-forwarded-host"], host);
  });
}

test("contract 1.8 the function sees the gateway's own trusted headers", async () => {
  const res = await send("/functions/v1/public-echo");
  const { headers, region } = res.json();
  const { host, port } = new URL(url);
  assert.equal(headers.host, host);
  assert.equal(headers["x-forwarded-host"], host);
  assert.equal(headers["x-forwarded-proto"], "http");
  assert.equal(headers["x-forwarded-port"], port);
  assert.equal(headers["x-forwarded-prefix"], "/functions/v1");
  assert.equal(headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(headers["sb-request-id"], res.headers["sb-request-id"]);
  assert.equal(headers["sb-project-ref"], "default");
  assert.equal(headers["x-sb-edge-region"], region);
  assert.equal(headers["sb-api-key"], undefined);
});

test("contract 1.8 the client's trace goes on and its own baggage stays", async () => {
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const res = await send("/functions/v1/public-echo", {
    headers: {
      traceparent: `00-${trace}-b7ad6b7169203331-01`,
      tracestate: "vendor=abc",
      baggage: "user=ada,sb-request-id=forged,sb-project-ref=forged,k=v",
    },
  });
  const { headers } = res.json();
  assert.equal(headers.traceparent.split("-")[1], trace);
  assert.equal(headers.tracestate, "vendor=abc");
  const entries = headers.baggage.split(",").map((entry) => entry.trim());
  assert.ok(entries.includes("user=ada") && entries.includes("k=v"), headers.baggage);
  assert.ok(entries.includes(`sb-request-id=${res.headers["sb-request-id"]}`), headers.baggage);
  assert.ok(!headers.baggage.includes("forged"), headers.baggage);
});

for (const path of ["/functions/v1/no-such", "/functions/v1/Echo", "/functions/v1/"]) {
  test(`contract 3.17, 3.21: ${path} without a token is 404, not 401`, async () => {
    assert.equal((await send(path)).status, 404);
    assert.equal((await send(path, { headers: { apikey: "sb_secret_unknown" } })).status, 404);
  });
}

test("contract 3.18, 3.19, 3.21, 3.23: URL 400 before 401, 405 before 401, 401 before the region's 400", async () => {
  assert.equal((await send("/functions/v1/echo/%252e%252e/%252e%252e/x")).status, 400);
  assert.equal((await send("/functions/v1/echo", { method: "PROPFIND" })).status, 405);
  assert.equal((await send("/functions/v1/echo", { headers: { "x-region": "mars-1" } })).status, 401);
  assert.equal((await send("/functions/v1/echo", { headers: { ...bearer, "x-region": "mars-1" } })).status, 400);
});

for (const rest of ["/a/../../x", "/..", "/%2e%2e/x", "/..%5cx", "/%252e%252e%252fx", "/%25252e%25252e/x"]) {
  test(`contract 1.5 /public-echo${rest} could leave the slug: 400 INVALID_URL`, async () => {
    const res = await send(`/functions/v1/public-echo${rest}`);
    assert.equal(res.status, 400);
    assert.equal(res.json().code, "INVALID_URL");
    assert.equal(res.headers["sb-error-code"], "INVALID_URL");
  });
}

for (const rest of ["/a/../b", "/a/%2e%2e/b", "/...", "/..a", "/%252f", "/.hidden"]) {
  test(`contract 1.5 /public-echo${rest} stays inside the slug and is forwarded`, async () => {
    assert.equal((await send(`/functions/v1/public-echo${rest}`)).status, 200);
  });
}
