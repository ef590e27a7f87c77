// The functions client of @supabase/supabase-js, used as applications use it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  FunctionRegion,
  FunctionsFetchError,
  FunctionsHttpError,
  FunctionsRelayError,
} from "@supabase/supabase-js";
import { anonJwt, client, deadUrl, publishableKey, regions, secretKey, sign, now, jwtSecret } from "./support.mjs";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

test("contract 1.1 invoke with a JSON object body gets the function's JSON back", async () => {
  const { data, error } = await client().functions.invoke("hello-world", { body: { name: "Ada" } });
  assert.equal(error, null);
  assert.deepEqual(data, { message: "Hello Ada!", region: regions[0] });
});

test("contract 1.3 invoke without a body is a POST with none", async () => {
  const { data, error } = await client().functions.invoke("echo");
  assert.equal(error, null);
  assert.equal(data.method, "POST");
  assert.equal(data.body, "");
  assert.equal(data.path, "/echo");
});

test("contract 6.5 invoke with a string body", async () => {
  const { data, error } = await client().functions.invoke("echo", { body: "plain words, ü" });
  assert.equal(error, null);
  assert.equal(data.body, "plain words, ü");
  assert.match(data.headers["content-type"], /^text\/plain/);
});

test("contract 6.5 invoke with FormData, text and file", async () => {
  const form = new FormData();
  form.set("title", "a form");
  form.set("file", new File([Buffer.from([0, 1, 2, 255])], "four.bin", { type: "application/x-four" }));
  const { data, error } = await client().functions.invoke("upload", { body: form });
  assert.equal(error, null);
  assert.equal(data.fields.title, "a form");
  assert.deepEqual(data.fields.file, {
    name: "four.bin",
    type: "application/x-four",
    length: 4,
    sha256: sha256(Buffer.from([0, 1, 2, 255])),
  });
});

test("contract 6.5 invoke with a Blob keeps its type", async () => {
  const bytes = Buffer.from("blob bytes \0 \xff", "latin1");
  const { data, error } = await client().functions.invoke("upload", {
    body: new Blob([bytes], { type: "application/x-blob" }),
  });
  assert.equal(error, null);
  assert.equal(data.sha256, sha256(bytes));
  assert.equal(data.type, "application/x-blob");
});

test("contract 6.5 invoke with an ArrayBuffer", async () => {
  const bytes = new Uint8Array(70000).map((_, i) => i % 251);
  const { data, error } = await client().functions.invoke("upload", { body: bytes.buffer });
  assert.equal(error, null);
  assert.equal(data.sha256, sha256(bytes));
  assert.equal(data.length, 70000);
  assert.equal(data.type, "application/octet-stream");
});

test("contract 6.5 the client's fetch with a ReadableStream body arrives chunked and whole", async () => {
  // The SDK would serialize a stream as JSON, so the stream goes through the fetch that it hands out.
  let left = 5;
  const body = new ReadableStream({
    pull(controller) {
      if (left-- === 0) return controller.close();
      controller.enqueue(new TextEncoder().encode("piece "));
    },
  });
  const res = await fetch(client().functions.url + "/upload", {
    method: "POST",
    body,
    duplex: "half",
    headers: { authorization: `Bearer ${anonJwt}` },
  });
  const data = await res.json();
  assert.equal(data.sha256, sha256("piece ".repeat(5)));
  assert.equal(data.contentLength, null);
});

test("contract 1.8 custom headers, authorization, apikey and x-client-info pass unchanged", async () => {
  const c = client({ headers: { "x-from-client": "client" } });
  const { data, error } = await c.functions.invoke("echo", { headers: { "x-from-call": "call" } });
  assert.equal(error, null);
  assert.equal(data.headers["x-from-client"], "client");
  assert.equal(data.headers["x-from-call"], "call");
  for (const name of ["authorization", "apikey", "x-client-info"]) {
    assert.equal(data.headers[name], c.last().headers.get(name), name);
    assert.ok(data.headers[name], `${name} was sent`);
  }
});

for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
  test(`contract 5.8 invoke with method ${method}`, async () => {
    const options = { method };
    if (method !== "GET") options.body = { n: 1 };
    const { data, error } = await client().functions.invoke("echo/deeper?x=1", options);
    assert.equal(error, null);
    assert.equal(data.method, method);
    assert.equal(data.path, "/echo/deeper");
    assert.equal(data.query, "?x=1");
    if (method !== "GET") assert.deepEqual(JSON.parse(data.body), { n: 1 });
  });
}

test("contract 1.3 a REST router behind the slug works through its whole life", async () => {
  const { functions } = client();
  const made = await functions.invoke("restful/tasks", { body: { title: "one" } });
  assert.equal(made.error, null);
  assert.equal(made.response.status, 201);
  const path = `restful/tasks/${made.data.id}`;
  const put = await functions.invoke(path, { method: "PUT", body: { title: "two" } });
  assert.equal(put.data.title, "two");
  const patched = await functions.invoke(path, { method: "PATCH", body: { done: true } });
  assert.deepEqual(patched.data, { id: made.data.id, title: "two", done: true });
  const got = await functions.invoke(path, { method: "GET" });
  assert.deepEqual(got.data, patched.data);
  const gone = await functions.invoke(path, { method: "DELETE" });
  assert.equal(gone.response.status, 204);
  const missing = await functions.invoke(path, { method: "GET" });
  assert.ok(missing.error instanceof FunctionsHttpError);
  assert.equal(missing.error.context.status, 404);
  assert.deepEqual(await missing.error.context.json(), { error: `no task ${made.data.id}` });
  const invalid = await functions.invoke("restful/tasks", { body: { untitled: true } });
  assert.equal(invalid.error.context.status, 422);
});

for (const [name, region] of Object.entries(FunctionRegion).filter(([, value]) => regions.includes(value))) {
  test(`contract 2.1 FunctionRegion.${name} runs in ${region}, named by header and query`, async () => {
    const c = client();
    const { data, error, response } = await c.functions.invoke("echo", { region });
    assert.equal(error, null);
    assert.equal(c.last().headers.get("x-region"), region);
    assert.equal(new URL(c.last().url).searchParams.get("forceFunctionRegion"), region);
    assert.equal(data.region, region);
    assert.equal(data.headers["x-sb-edge-region"], region);
    assert.equal(data.headers["x-region"], region);
    assert.equal(data.query, `?forceFunctionRegion=${region}`);
    assert.equal(response.headers.get("x-sb-edge-region"), region);
    assert.equal(response.headers.get("x-sb-region-reason"), "explicit");
  });
}

test("contract 2.1 FunctionRegion.Any names no region and goes to the nearest", async () => {
  const c = client();
  const { data, response } = await c.functions.invoke("echo", { region: FunctionRegion.Any });
  assert.equal(c.last().headers.get("x-region"), null);
  assert.equal(data.query, "");
  assert.equal(response.headers.get("x-sb-edge-region"), regions[0]);
  assert.equal(response.headers.get("x-sb-region-reason"), "nearest");
});

test("contract 2.4 a region that is not configured is a FunctionsHttpError 400 whose body lists the configured ones", async () => {
  const { data, error } = await client().functions.invoke("echo", { region: FunctionRegion.SaEast1 });
  assert.equal(data, null);
  assert.ok(error instanceof FunctionsHttpError, String(error));
  assert.equal(error.context.status, 400);
  assert.equal(error.context.headers.get("sb-error-code"), "INVALID_REGION");
  const body = await error.context.json();
  assert.equal(body.code, "INVALID_REGION");
  for (const region of regions) assert.ok(body.message.includes(region), body.message);
});

const httpErrors = [
  ["a function's 404", "status?code=404", 404, { status: 404 }],
  ["a function's 422", "status?code=422", 422, { status: 422 }],
  ["a function's 500", "worker-error", 500, { code: "WORKER_ERROR" }],
  ["BOOT_ERROR", "boot-error", 503, { code: "BOOT_ERROR" }],
  ["WORKER_RESOURCE_LIMIT", "worker-limit", 546, { code: "WORKER_RESOURCE_LIMIT" }],
  ["an unknown function", "no-such-function", 404, { code: "NOT_FOUND", message: "Requested function was not found" }],
];
for (const [what, path, status, want] of httpErrors) {
  test(`contract 5.27 ${what} is a FunctionsHttpError with status ${status} and the body`, async () => {
    const { data, error, response } = await client().functions.invoke(path);
    assert.equal(data, null);
    assert.ok(error instanceof FunctionsHttpError, String(error));
    assert.equal(response.status, status);
    const body = await error.context.json();
    for (const [key, value] of Object.entries(want)) assert.equal(body[key], value, key);
  });
}

test("contract 5.15 a crash is a FunctionsHttpError, never a relay error", async () => {
  const { error } = await client().functions.invoke("crash");
  assert.ok(error instanceof FunctionsHttpError, String(error));
  assert.equal(error.context.status, 500);
  assert.equal(error.context.headers.get("x-relay-error"), null);
  assert.equal(error.context.headers.get("sb-error-code"), "EDGE_FUNCTION_ERROR");
});

test("contract 5.32 a backend's own x-relay-error passes and is a FunctionsRelayError", async () => {
  const { error } = await client().functions.invoke("relay-error");
  assert.ok(error instanceof FunctionsRelayError, String(error));
  assert.deepEqual(await error.context.json(), { error: "relay" });
});

test("an unreachable gateway is a FunctionsFetchError", async () => {
  const { error } = await client({ base: deadUrl }).functions.invoke("echo");
  assert.ok(error instanceof FunctionsFetchError, String(error));
});

test("contract 7.2 the timeout option ends a slow call as a FunctionsFetchError and the gateway goes on", async () => {
  const { functions } = client();
  const before = Date.now();
  const { error } = await functions.invoke("slow?ms=3000", { timeout: 300 });
  assert.ok(error instanceof FunctionsFetchError, String(error));
  assert.ok(Date.now() - before < 2000, "the call ended with its timeout");
  const next = await functions.invoke("slow?ms=1", { timeout: 5000 });
  assert.equal(next.error, null);
});

test("contract 3.8 setAuth with a good user token passes, also without exp", async () => {
  for (const claims of [{ sub: "user-1", role: "authenticated", exp: now() + 600 }, { sub: "user-2" }]) {
    const { functions } = client();
    const user = sign(claims);
    functions.setAuth(user);
    const { data, error } = await functions.invoke("echo");
    assert.equal(error, null);
    assert.equal(data.headers.authorization, `Bearer ${user}`);
  }
});

test("contract 3.5 setAuth with a forged or expired token is a FunctionsHttpError 401 with its body", async () => {
  for (const token of [sign({ sub: "x" }, { secret: jwtSecret + "-not" }), sign({ sub: "x", exp: now() - 60 })]) {
    const { functions } = client();
    functions.setAuth(token);
    const { error } = await functions.invoke("echo");
    assert.ok(error instanceof FunctionsHttpError, String(error));
    assert.equal(error.context.status, 401);
    assert.equal(error.context.headers.get("sb-error-code"), "UNAUTHORIZED_LEGACY_JWT");
    assert.deepEqual(await error.context.json(), { code: "UNAUTHORIZED_LEGACY_JWT", message: "Invalid JWT" });
  }
});

for (const [name, key] of [["the anon JWT", anonJwt], ["a publishable key", publishableKey], ["a secret key", secretKey]]) {
  test(`contract 3.9 a client made with ${name} is let in`, async () => {
    const { data, error } = await client({ key }).functions.invoke("hello-world", { body: { name: "key" } });
    assert.equal(error, null);
    assert.equal(data.message, "Hello key!");
  });
}

for (const key of ["sb_publishable_unknown", "sb_secret_unknown", "no-key-of-any-shape"]) {
  test(`contract 3.10 a client made with the unknown key ${key} gets 401 also where verify_jwt is off`, async () => {
    for (const slug of ["echo", "public-echo"]) {
      const { error } = await client({ key }).functions.invoke(slug);
      assert.ok(error instanceof FunctionsHttpError, String(error));
      assert.equal(error.context.status, 401);
      assert.equal(error.context.headers.get("sb-error-code"), "UNAUTHORIZED_INVALID_API_KEY");
      assert.deepEqual(await error.context.json(), { message: "Invalid API key" });
    }
  });
}

test("contract 6.5 an event stream is handed out as a response and read as it comes", async () => {
  const started = Date.now();
  const { data, error } = await client().functions.invoke("sse?events=3&every=300");
  assert.equal(error, null);
  let text = "";
  let first = 0;
  for await (const chunk of data.body) {
    first ||= Date.now() - started;
    text += Buffer.from(chunk).toString();
  }
  assert.equal(text.match(/^data: /gm).length, 4);
  assert.ok(first < 300, `the first event came after ${first} ms`);
});

test("contract 6.5 a binary answer is a Blob with the right bytes", async () => {
  const { data, error } = await client().functions.invoke("download?bytes=200000", { method: "GET" });
  assert.equal(error, null);
  assert.equal(data.size, 200000);
});
