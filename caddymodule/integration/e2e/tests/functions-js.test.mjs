// What the functions client promises, case by case, with the package itself: its own tests cover the same ground
// against the hosted gateway.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FunctionRegion,
  FunctionsClient,
  FunctionsFetchError,
  FunctionsHttpError,
  FunctionsRelayError,
} from "@supabase/functions-js";
import { anonJwt, fn, now, publishableKey, regions, secretKey, sign } from "./support.mjs";

const headers = { Authorization: `Bearer ${anonJwt}` };
const functions = (options = { headers: { ...headers } }) => new FunctionsClient(fn, options);

async function answered(promise) {
  const { data, error, response } = await promise;
  assert.equal(error, null);
  assert.equal(response.status, 200);
  return data;
}

async function refused(promise, status, code) {
  const { data, error, response } = await promise;
  assert.equal(data, null);
  assert.ok(error instanceof FunctionsHttpError, String(error));
  assert.equal(error.message, "Edge Function returned a non-2xx status code");
  assert.equal(error.context, response);
  assert.equal(response.status, status);
  assert.equal((await response.json()).code, code);
  assert.equal(response.headers.get("sb-error-code"), code);
}

test("contract 3.2 no credentials", () => refused(functions({}).invoke("echo"), 401, "UNAUTHORIZED_NO_AUTH_HEADER"));

for (const [name, key] of [["publishable", publishableKey], ["secret", secretKey]]) {
  test(`contract 3.9 a ${name} key in the apikey header`, async () => {
    const data = await answered(functions({ headers: { apikey: key } }).invoke("echo"));
    assert.equal(data.headers.apikey, key);
  });
}

test("contract 3.10 a key that is none", async () => {
  const { error, response } = await functions({ headers: { apikey: "sb_publishable_nobodysKeyAtAll0000" } }).invoke("echo");
  assert.ok(error instanceof FunctionsHttpError);
  assert.equal(response.status, 401);
  assert.equal(response.headers.get("sb-error-code"), "UNAUTHORIZED_INVALID_API_KEY");
  assert.equal((await response.json()).message, "Invalid API key");
});

test("contract 3.5 the client's token", async () => {
  assert.equal((await answered(functions().invoke("echo"))).headers.authorization, headers.Authorization);
});

test("contract 3.5 setAuth overrides the client's token", async () => {
  const client = functions();
  const token = sign({ role: "authenticated", sub: "u1", exp: now() + 60 });
  client.setAuth(token);
  assert.equal((await answered(client.invoke("echo"))).headers.authorization, `Bearer ${token}`);
  client.setAuth(sign({ role: "anon" }, { secret: "somebody-elses-secret-of-32-bytes!" }));
  await refused(client.invoke("echo"), 401, "UNAUTHORIZED_LEGACY_JWT");
});

test("contract 3.5 a call's own header overrides setAuth", async () => {
  const client = functions({});
  client.setAuth("no.token.atall");
  await answered(client.invoke("echo", { headers }));
  await refused(functions().invoke("echo", { headers: { Authorization: "Bearer no.token.atall" } }), 401, "UNAUTHORIZED_INVALID_JWT_FORMAT");
});

test("contract 3.8 an expired token", async () => {
  const client = functions({});
  client.setAuth(sign({ role: "anon", exp: now() - 60 }));
  await refused(client.invoke("echo"), 401, "UNAUTHORIZED_LEGACY_JWT");
});

test("contract 2.1 the client's region, and a call's own before it", async () => {
  const client = functions({ headers, region: regions[2] });
  assert.equal((await answered(client.invoke("echo"))).region, regions[2]);
  assert.equal((await answered(client.invoke("echo", { region: regions[1] }))).region, regions[1]);
});

test("contract 2.1 any region is the nearest", async () => {
  const data = await answered(functions().invoke("echo", { region: FunctionRegion.Any }));
  assert.equal(data.region, regions[0]);
  assert.equal(data.headers["x-region"], undefined);
});

test("contract 2.1 the region by the query alone", async () => {
  const { data, response } = await functions().invoke(`echo?forceFunctionRegion=${regions[1]}`);
  assert.equal(data.region, regions[1]);
  assert.equal(response.headers.get("x-sb-edge-region"), regions[1]);
  assert.equal(response.headers.get("x-sb-region-reason"), "explicit");
});

test("contract 2.1 the region by a header alone", async () => {
  assert.equal((await answered(functions().invoke("echo", { headers: { "x-region": regions[2] } }))).region, regions[2]);
});

test("contract 2.4 a region that is none", () => refused(functions().invoke("echo", { region: "mars-1" }), 400, "INVALID_REGION"));

const bodies = [
  ["a string", "text", "text/plain", "text"],
  ["an object", { a: [1, "ü"] }, "application/json", '{"a":[1,"ü"]}'],
  ["an array", [1, 2], "application/json", "[1,2]"],
  ["a Blob with a type", new Blob(["blob"], { type: "text/csv" }), "text/csv", "blob"],
  ["a Blob without one", new Blob(["blob"]), "application/octet-stream", "blob"],
  ["a File", new File(["file"], "a.txt", { type: "text/x-a" }), "text/x-a", "file"],
  ["an ArrayBuffer", new TextEncoder().encode("bytes").buffer, "application/octet-stream", "bytes"],
];
for (const [name, body, type, arrives] of bodies) {
  test(`contract 6.5 the body is ${name}`, async () => {
    const data = await answered(functions().invoke("echo", { body }));
    assert.equal(data.body, arrives);
    assert.equal(data.headers["content-type"].split(";")[0], type);
  });
}

test("contract 6.5 the body is a form", async () => {
  const body = new FormData();
  body.append("name", "Ada");
  assert.equal((await answered(functions().invoke("upload", { body }))).fields.name, "Ada");
});

test("contract 6.5 a content type of one's own", async () => {
  const data = await answered(functions().invoke("echo", { body: "a=1&b=2", headers: { "content-type": "application/x-www-form-urlencoded" } }));
  assert.equal(data.headers["content-type"], "application/x-www-form-urlencoded");
  assert.equal(data.body, "a=1&b=2");
});

for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
  test(`contract 5.8 the method ${method}`, async () => {
    assert.equal((await answered(functions().invoke("echo", { method }))).method, method);
  });
}

test("contract 1.3 headers, a path and a query of one's own", async () => {
  const data = await answered(functions().invoke("echo/a%20b/c?x=1&y=%2F", { headers: { "custom-header": "value" } }));
  assert.equal(data.path, "/echo/a%20b/c");
  assert.equal(data.query, "?x=1&y=%2F");
  assert.equal(data.headers["custom-header"], "value");
});

test("contract 6.5 JSON, whatever the case of its type", async () => {
  assert.deepEqual(await answered(functions().invoke("reply?type=Application/JSON;charset=utf-8", { body: { a: 1 } })), { a: 1 });
});

test("contract 6.5 text", async () => {
  assert.equal(await answered(functions().invoke("reply?type=text/plain", { body: "words, ü" })), "words, ü");
});

for (const type of ["application/octet-stream", "application/pdf"]) {
  test(`contract 6.5 ${type} is a Blob`, async () => {
    const data = await answered(functions().invoke(`reply?type=${type}`, { body: "%PDF" }));
    assert.ok(data instanceof Blob);
    assert.equal(await data.text(), "%PDF");
  });
}

test("contract 6.5 multipart/form-data is a form", async () => {
  const data = await answered(functions().invoke("reply?form", { body: "value" }));
  assert.equal(data.get("field"), "value");
});

test("contract 6.5 an event stream is the response itself", async () => {
  const data = await answered(functions().invoke("sse", { method: "GET" }));
  assert.match(data.headers.get("content-type"), /^text\/event-stream/);
  assert.match(await data.text(), /^data: /m);
});

test("contract 5.27 a status of the function's own", async () => {
  const { error, response } = await functions().invoke("status?code=418");
  assert.ok(error instanceof FunctionsHttpError);
  assert.equal(response.status, 418);
  assert.deepEqual(await error.context.json(), { status: 418 });
});

test("contract 1.7 a function that is none", () => refused(functions().invoke("nosuchfunction"), 404, "NOT_FOUND"));

test("contract 5.32 a relay error", async () => {
  const { error, response } = await functions().invoke("relay-error");
  assert.ok(error instanceof FunctionsRelayError);
  assert.equal(response.headers.get("x-relay-error"), "true");
});

test("a gateway that is not there", async () => {
  const { error } = await new FunctionsClient(`${process.env.E2E_DEAD_URL}/functions/v1`).invoke("echo");
  assert.ok(error instanceof FunctionsFetchError);
});

for (const [name, options] of [["timeout", { timeout: 150 }], ["signal", { signal: AbortSignal.timeout(150) }]]) {
  test(`contract 7.2 a call given up by its ${name}`, async () => {
    const { error } = await functions().invoke("slow?ms=3000", { ...options, method: "GET" });
    assert.ok(error instanceof FunctionsFetchError);
    assert.match(error.context.name, /^(AbortError|TimeoutError)$/);
  });
}

test("contract 7.2 a timeout that is long enough", async () => {
  await answered(functions().invoke("slow?ms=10", { method: "GET", timeout: 5000 }));
});
