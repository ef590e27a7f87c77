// No region has a backend that listens.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FunctionsHttpError } from "@supabase/supabase-js";
import { client, regions, send } from "./support.mjs";

const path = "/functions/v1/public-echo";

test("contract 2.6 not named: 503 REGION_UNAVAILABLE after one fail-open attempt at the nearest", async () => {
  const res = await send(path);
  assert.equal(res.status, 503, res.text);
  assert.equal(res.json().code, "REGION_UNAVAILABLE");
  assert.match(res.headers["retry-after"], /^[1-9][0-9]*$/);
  assert.deepEqual(res.all("x-sb-edge-region"), [regions[0]]);
  assert.deepEqual(res.all("x-sb-region-reason"), ["fail_open"]);
  assert.doesNotMatch(res.text, /127\.0\.0\.1|refused|dial/, "contract 5.33 nothing of the inside");
});

for (const region of regions) {
  test(`contract 2.5 named ${region}: 503 that names it`, async () => {
    const res = await send(path, { headers: { "x-region": region } });
    assert.equal(res.status, 503);
    assert.deepEqual(res.all("x-sb-edge-region"), [region]);
    assert.equal(res.json().region, region);
  });
}

test("contract 2.3 a list's 503 names its first", async () => {
  const res = await send(path, { headers: { "x-region": `${regions[2]}, ${regions[1]}` } });
  assert.equal(res.status, 503);
  assert.equal(res.json().region, regions[2]);
  assert.deepEqual(res.all("x-sb-edge-region"), [regions[2]]);
});

test("contract 2.5 supabase-js reports a FunctionsHttpError, not a relay error", async () => {
  const { error } = await client().functions.invoke("echo");
  assert.ok(error instanceof FunctionsHttpError, String(error));
  assert.equal(error.context.status, 503);
});

test("contract 3.17, 3.21, 3.23: what is refused before routing is refused all the same", async () => {
  assert.equal((await send("/functions/v1/nope")).status, 404);
  assert.equal((await send("/functions/v1/echo")).status, 401);
  assert.equal((await send(path, { headers: { "x-region": "mars-1" } })).status, 400);
});
