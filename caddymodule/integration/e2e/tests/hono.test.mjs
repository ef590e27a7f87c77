// A stock Hono application as the function: nobody wrote it for this gateway.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client, send } from "./support.mjs";

test("contract 1.3 Hono routes below its base path", async () => {
  assert.equal((await send("/functions/v1/hono")).text, "Hello Hono!");
  const res = await send("/functions/v1/hono/users/a%20b?q=%C3%BC");
  assert.deepEqual(res.json(), { id: "a b", q: "ü" });
});

test("contract 1.3 Hono takes a JSON body from supabase-js", async () => {
  const { data, error, response } = await client().functions.invoke("hono/users", { body: { name: "Ada" } });
  assert.equal(error, null);
  assert.equal(response.status, 201);
  assert.deepEqual(data, { created: { name: "Ada" } });
});

test("contract 5.27 Hono's own 404, 418, 500 and redirect pass", async () => {
  const missing = await send("/functions/v1/hono/nowhere");
  assert.equal(missing.status, 404);
  assert.equal(missing.text, "404 Not Found");
  assert.equal(missing.headers["sb-error-code"], undefined);
  assert.equal((await send("/functions/v1/hono/teapot")).status, 418);
  const boom = await send("/functions/v1/hono/boom");
  assert.equal(boom.status, 500);
  assert.equal(boom.headers["sb-error-code"], "EDGE_FUNCTION_ERROR");
  const away = await send("/functions/v1/hono/away");
  assert.equal(away.status, 302);
  assert.equal(away.headers.location, "/hono");
});
