// Sections 5 and 6: what happens to a function's answer on its way out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ownHost, send } from "./support.mjs";

const html = "<!doctype html><html><body><h1>Page</h1></body></html>";

function rewritten(res) {
  assert.match(res.headers["content-type"], /^text\/plain/);
  assert.equal(res.headers["x-content-type-options"], "nosniff");
  assert.equal(res.headers["content-security-policy"], "default-src 'none'; sandbox");
  for (const name of ["content-type", "x-content-type-options", "content-security-policy"]) {
    assert.equal(res.all(name).length, 1, name);
  }
}

const rewrites = ["text/html", "text/html; charset=utf-8", "TEXT/HTML", "Text/Html;charset=ISO-8859-1", "text/html ; a=b"];
for (const type of rewrites) {
  test(`contract 6.3 GET of ${type} on a shared host is text/plain, bytes unchanged`, async () => {
    const res = await send(`/functions/v1/page?type=${encodeURIComponent(type)}`);
    assert.equal(res.status, 200);
    rewritten(res);
    assert.equal(res.text, html);
  });
}

test("contract 6.3 whatever the status", async () => {
  for (const status of [201, 404, 500]) {
    const res = await send(`/functions/v1/page?status=${status}`);
    assert.equal(res.status, status);
    rewritten(res);
  }
});

test("contract 6.3 no Content-Type and a body that sniffs as HTML", async () => {
  const res = await send("/functions/v1/page-nocontenttype");
  rewritten(res);
  assert.equal(res.text, "<!doctype html><html><body><h1>Untyped</h1></body></html>");
});

const documents = ["application/xhtml+xml", "image/svg+xml"];
for (const type of [...documents, "application/json", "text/css"]) {
  test(`contract 6.3 ${type} keeps its type, and may run no script`, async () => {
    const res = await send(`/functions/v1/page?type=${encodeURIComponent(type)}`);
    assert.equal(res.headers["content-type"], type);
    assert.equal(res.headers["content-security-policy"], documents.includes(type) ? "default-src 'none'; sandbox" : undefined);
  });
}

for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
  test(`contract 6.3 ${method} stays HTML, and may run no script`, async () => {
    const res = await send("/functions/v1/page", { method });
    assert.equal(res.headers["content-type"], "text/html; charset=utf-8");
    assert.deepEqual(res.all("content-security-policy"), ["default-src 'none'; sandbox"]);
  });
}

test("contract 6.3 not on the project's own host, with a port or in another case neither", async () => {
  for (const host of [ownHost, `${ownHost}:8443`, ownHost.toUpperCase()]) {
    const res = await send("/functions/v1/page", { headers: { host } });
    assert.equal(res.headers["content-type"], "text/html; charset=utf-8", host);
    assert.equal(res.headers["content-security-policy"], undefined, host);
    assert.equal(res.text, html);
  }
});

test("contract 6.4 Set-Cookie is removed on shared hosts and kept on the own host", async () => {
  const shared = await send("/functions/v1/cookies");
  assert.equal(shared.status, 200);
  assert.deepEqual(shared.all("set-cookie"), []);
  const own = await send("/functions/v1/cookies", { headers: { host: ownHost } });
  assert.deepEqual(own.all("set-cookie"), ["first=1; Path=/; HttpOnly", "second=2; Path=/"]);
});

for (const code of [201, 204, 304, 404, 409, 422, 500, 503]) {
  test(`contract 5.27 the function's ${code} passes as it is`, async () => {
    const res = await send(`/functions/v1/status?code=${code}`);
    assert.equal(res.status, code);
    if (![204, 304].includes(code)) assert.deepEqual(res.json(), { status: code });
  });
}

test("contract 5.27 a redirect is passed, not followed", async () => {
  const res = await send("/functions/v1/status?code=302&location=/elsewhere");
  assert.equal(res.status, 302);
  assert.equal(res.headers.location, "/elsewhere");
});

const errorCodes = [
  ["worker-limit", 546, "WORKER_RESOURCE_LIMIT"],
  ["boot-error", 503, "BOOT_ERROR"],
  ["worker-error", 500, "WORKER_ERROR"],
  ["crash", 500, "EDGE_FUNCTION_ERROR"],
  ["status?code=546", 546, "WORKER_RESOURCE_LIMIT"],
  ["status?code=502", 502, "EDGE_FUNCTION_ERROR"],
];
for (const [path, status, code] of errorCodes) {
  test(`contract 5.28 ${path} has sb-error-code ${code} and the function's own body`, async () => {
    const res = await send(`/functions/v1/${path}`);
    assert.equal(res.status, status);
    assert.deepEqual(res.all("sb-error-code"), [code]);
    assert.equal(res.headers["x-relay-error"], undefined);
    assert.ok(res.headers["x-sb-edge-region"]);
  });
}

test("contract 5.28 a function's 4xx has no sb-error-code", async () => {
  const res = await send("/functions/v1/status?code=404");
  assert.equal(res.headers["sb-error-code"], undefined);
});

test("contract 6.7 an empty response gets no Content-Type from us", async () => {
  for (const code of [200, 204, 304, 404]) {
    const res = await send(`/functions/v1/status?code=${code}&empty`);
    assert.equal(res.status, code);
    assert.equal(res.bytes.length, 0);
    assert.equal(res.headers["content-type"], undefined, String(code));
  }
});

test("contract 6.7 nothing is compressed by us", async () => {
  const res = await send("/functions/v1/page", { headers: { "accept-encoding": "gzip, br" , host: ownHost } });
  // Deno itself compresses only above 64 bytes of a compressible type; the page is below that.
  assert.equal(res.headers["content-encoding"], undefined);
  assert.equal(res.text, html);
});

test("contract 5.31 a body that the function breaks off is not passed off as whole", async () => {
  await assert.rejects(send("/functions/v1/broken"));
});
