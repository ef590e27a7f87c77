// Contract 4.4, 4.5, 4.7, 3.15 in Chromium: a page of another origin reads each gateway answer that a browser can get, with its code.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answer, browser, html, site } from "./browser.mjs";
import { anonJwt, now, publishableKey, secretKey, sign } from "./support.mjs";

const port = process.env.E2E_GATEWAY_PORT;
const project = (ref) => `http://${ref}.example.test:${port}`;
const first = project(process.env.E2E_FIRST_REF);
const spent = project(process.env.E2E_SECOND_REF);
const expired = sign({ role: "anon", exp: now() - 60 });
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const open = `${first}/functions/v1/open`;

let chromium;
let page;
before(async () => {
  chromium = await browser();
  page = await chromium.newPage();
  await page.goto(site("app.test") + "/" + html("<!doctype html><title>app</title>"));
});
after(() => chromium.close());

// call has the page fetch, and returns what script of the page can see.
const call = (url, init = {}) => page.evaluate(async ([url, { size, ...init }]) => {
  const body = size ? { body: "x".repeat(size) } : {};
  const res = await fetch(url, { ...init, ...body });
  const text = await res.text();
  return { status: res.status, headers: Object.fromEntries(res.headers), json: text ? JSON.parse(text) : undefined };
}, [url, init]);

// bare bodies have a message alone (contract 3.10, 5.5).
const answers = [
  [404, "PROJECT_NOT_FOUND", `${project("nobodynobodynobodyaa")}/functions/v1/open`],
  [404, "PROJECT_NOT_FOUND", `http://example.test:${port}/functions/v1/open`, { name: "of the apex" }],
  [404, "NOT_FOUND", `${first}/functions/v1/nobody`],
  [404, "NOT_FOUND", `${first}/rest/v1/table`, { name: "below the directive" }],
  [404, "NOT_FOUND", `${first}/functions/v1/removed`, { name: "of a removed function" }],
  [400, "INVALID_URL", `${open}/%252e%252e/%252e%252e/x`],
  [400, "INVALID_URL", `${first}/functions/v1/own/%252e%252e/%252e%252e/x`, { name: "of cors function" }],
  [400, "INVALID_REGION", `${open}?forceFunctionRegion=mars-1`],
  [400, "INVALID_REGION", open, { name: "by the header", headers: { "x-region": "mars-1" } }],
  [405, "METHOD_NOT_ALLOWED", open, { method: "HEAD" }],
  [401, "UNAUTHORIZED_NO_AUTH_HEADER", `${first}/functions/v1/private`, { only: true, visible: { "www-authenticate": /missing credentials/ } }],
  [401, "UNAUTHORIZED_LEGACY_JWT", `${first}/functions/v1/private`, { headers: bearer(expired), visible: { "www-authenticate": /token expired/ } }],
  [401, "UNAUTHORIZED_INVALID_JWT_FORMAT", `${first}/functions/v1/private`, { headers: { authorization: "Basic x" } }],
  [401, "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM", `${first}/functions/v1/private`, { headers: bearer(sign({}, { header: { alg: "PS256" } })) }],
  [401, "UNAUTHORIZED_INVALID_API_KEY", open, { headers: { apikey: "sb_publishable_nope" }, bare: true }],
  [401, "UNAUTHORIZED_SECRET_KEY_IN_BROWSER", open, { headers: { apikey: secretKey } }],
  [402, "PROJECT_RESTRICTED", `${spent}/functions/v1/open`, { bare: true, visible: { "retry-after": /^\d+$/, "x-sb-quota-remaining": /^0$/ } }],
  [413, "PAYLOAD_TOO_LARGE", open, { method: "POST", size: 2000 }],
  [429, "RATE_LIMIT_EXCEEDED", `${first}/functions/v1/held`, { visible: { "retry-after": /^\d+$/ } }],
  [500, "INVALID_RESPONSE_STATUS_CODE", open + answer({ status: 666 }), { visible: { "x-sb-edge-region": /^eu-central-1$/ } }],
  [502, "BACKEND_ERROR", open + answer({ drop: true }), { method: "POST", visible: { "x-sb-region-reason": /./ } }],
  [503, "REGION_UNAVAILABLE", open, { headers: { "x-region": "us-east-1" }, visible: { "retry-after": /^\d+$/, "x-sb-edge-region": /^us-east-1$/ } }],
  [503, "PROJECTS_UNAVAILABLE", `http://first.example.test:${process.env.E2E_WAITING_PORT}/functions/v1/open`, { visible: { "retry-after": /^\d+$/ } }],
  [503, "METERING_UNAVAILABLE", `http://any.test:${process.env.E2E_UNMETERED_PORT}/functions/v1/open`, { visible: { "retry-after": /^\d+$/ } }],
  [504, "IDLE_TIMEOUT", open + answer({ wait: 20_000 })],
  [546, "WORKER_RESOURCE_LIMIT", `${first}/functions/v1/quick${answer({ wait: 20_000 })}`],
];
for (const [status, code, url, { name = "", only, bare, visible = {}, headers = {}, ...init } = {}] of answers) {
  // Also with a header that makes the browser send a preflight first.
  for (const more of only ? [{}] : [{}, { "x-client-info": "supabase-js-web/2" }]) {
    test(`contract 4.4 a page reads ${status} ${code} ${name} ${Object.keys({ ...headers, ...more })}`, async () => {
      const res = await call(url, { ...init, headers: { ...headers, ...more } });
      assert.equal(res.status, status);
      assert.equal(res.headers["sb-error-code"], code);
      assert.match(res.headers["sb-request-id"], /^[0-9a-f-]{36}$/);
      if (init.method !== "HEAD") {
        assert.ok(res.json.message, "a message");
        assert.equal(res.json.code, bare ? undefined : code);
      }
      for (const [header, value] of Object.entries(visible)) assert.match(res.headers[header] ?? "not readable", value, header);
    });
  }
}

test("contract 4.4 a page reads 503 GATEWAY_OVERLOADED beside calls that are in flight", async () => {
  const calls = [1, 2, 3].map((n) => call(`${first}/functions/v1/busy${answer({ wait: 20_000 })}&n=${n}`, { headers: { "x-client-info": "x" } }));
  const answers = (await Promise.all(calls)).map((res) => `${res.status} ${res.headers["sb-error-code"]} ${res.json.code}`);
  assert.deepEqual(answers.sort(), ["503 GATEWAY_OVERLOADED GATEWAY_OVERLOADED", "504 IDLE_TIMEOUT IDLE_TIMEOUT", "504 IDLE_TIMEOUT IDLE_TIMEOUT"]);
});

test("contract 4.5 a page reads what expose of site, project and function name, and the rate limit's headers", async () => {
  const own = [["X-Site", "s"], ["X-Project", "p"], ["X-Function", "f"], ["X-Own", "o"], ["X-Hidden", "h"], ["Access-Control-Expose-Headers", "x-own"]];
  const res = await call(open + answer({ header: [["Content-Type", "application/json"], ...own], body: "{}" }));
  assert.equal(res.status, 200);
  for (const name of ["x-site", "x-project", "x-function", "x-own", "ratelimit", "ratelimit-policy", "x-sb-edge-region"]) {
    assert.ok(res.headers[name], `${name} is readable`);
  }
  assert.equal(res.headers["x-hidden"], undefined);
});

test("contract 4.9 a page reads the answer of a function that says each CORS header twice", async () => {
  const twice = [["Access-Control-Allow-Origin", "*"], ["Access-Control-Allow-Origin", "*"], ["Access-Control-Allow-Credentials", "true"], ["Access-Control-Allow-Credentials", "true"]];
  for (const slug of ["open", "own"]) {
    const script = { header: [["Content-Type", "application/json"], ...twice], body: '{"ok":true}' };
    assert.deepEqual((await call(`${first}/functions/v1/${slug}${answer(script)}`)).json, { ok: true }, slug);
  }
});

test("contract 4.9 two different origins are refused by the browser, as they were, and the log says so once", async () => {
  const header = [["Access-Control-Allow-Origin", "*"], ["Access-Control-Allow-Origin", site("app.test")]];
  for (const slug of ["open", "own"]) {
    await assert.rejects(call(`${first}/functions/v1/${slug}${answer({ header })}`), /Failed to fetch/);
    await assert.rejects(call(`${first}/functions/v1/${slug}${answer({ header })}`), /Failed to fetch/);
  }
});

// events opens an EventSource and returns the first message, or that it was closed for good.
const events = (url) => page.evaluate((url) => new Promise((resolve) => {
  const source = new EventSource(url);
  source.onmessage = (event) => { source.close(); resolve(event.data); };
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve("closed"); };
}), url);

const stream = answer({ header: [["Content-Type", "text/event-stream"]], body: "data: hello\n\n" });
for (const [name, slug, query, want] of [
  ["a token", "events", `&jwt=${anonJwt}`, "hello"],
  ["a publishable key", "events", `&apikey=${publishableKey}`, "hello"],
  ["an expired token", "events", `&jwt=${expired}`, "closed"],
  ["a secret key", "events", `&apikey=${secretKey}`, "closed"],
  ["nothing", "events", "", "closed"],
  ["a token of a function that takes headers only", "private", `&jwt=${anonJwt}`, "closed"],
]) {
  test(`contract 3.15 an EventSource with ${name}: ${want}`, async () => {
    assert.equal(await events(`${first}/functions/v1/${slug}${stream}${query}`), want);
  });
}

test("contract 3.15 a page reads why an EventSource was closed", async () => {
  const res = await call(`${first}/functions/v1/events?jwt=${expired}`, { headers: { accept: "text/event-stream" } });
  assert.equal(res.status, 401);
  assert.equal(res.headers["sb-error-code"], "UNAUTHORIZED_LEGACY_JWT");
  assert.match(res.headers["www-authenticate"], /token expired/);
});
