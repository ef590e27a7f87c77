// The nearest region's process is gone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FunctionRegion, FunctionsHttpError } from "@supabase/supabase-js";
import { client, regions, send } from "./support.mjs";

const down = process.env.E2E_DOWN_REGION;
const next = regions.find((region) => region !== down);
const path = "/functions/v1/public-echo";
const states = ["up", "degraded", "down", "draining", "drained", "unknown"];

function unavailable(res, region) {
  assert.equal(res.status, 503, res.text);
  assert.deepEqual(res.all("sb-error-code"), ["REGION_UNAVAILABLE"]);
  assert.deepEqual(res.all("x-sb-edge-region"), [region]);
  assert.match(res.headers["retry-after"], /^[1-9][0-9]*$/);
  const body = res.json();
  assert.equal(body.code, "REGION_UNAVAILABLE");
  assert.ok(body.message);
  assert.equal(body.region, region);
  assert.ok(states.includes(body.state), body.state);
  assert.ok("since" in body, "since");
  assert.ok(Array.isArray(body.alternatives), "alternatives");
  assert.ok(!body.alternatives.includes(region), "the region itself is no alternative");
  assert.doesNotMatch(res.text, /127\.0\.0\.1|refused|dial/, "contract 5.33 nothing of the inside");
  return body;
}

test("contract 2.6 not named: the next region answers, reason failover", async () => {
  for (const options of [{}, { method: "POST", body: "a body" }]) {
    const res = await send(path, options);
    assert.equal(res.status, 200, res.text);
    assert.equal(res.json().region, next);
    assert.equal(res.json().headers["x-sb-edge-region"], next);
    assert.deepEqual(res.all("x-sb-edge-region"), [next]);
    assert.deepEqual(res.all("x-sb-region-reason"), ["failover"]);
    if (options.body) assert.equal(res.json().body, options.body);
  }
});

test("contract 2.6 a hundred calls while the region is down: none fails", async () => {
  for (let round = 0; round < 5; round++) {
    const all = await Promise.all(Array.from({ length: 20 }, () => send(path, { method: "POST", body: "x" })));
    assert.deepEqual([...new Set(all.map((res) => res.status))], [200]);
  }
});

test("contract 2.5 named: 503 with region, state, since, alternatives; never another region", async () => {
  const body = unavailable(await send(path, { headers: { "x-region": down } }), down);
  for (const region of regions.filter((name) => name !== down)) assert.ok(body.alternatives.includes(region), region);
  unavailable(await send(`${path}?forceFunctionRegion=${down}`), down);
});

test("contract 2.5 in supabase-js it is a FunctionsHttpError whose body says where to go", async () => {
  const region = Object.values(FunctionRegion).find((value) => value === down);
  const { error } = await client().functions.invoke("echo", { region });
  assert.ok(error instanceof FunctionsHttpError, String(error));
  assert.equal(error.context.status, 503);
  const { alternatives } = await error.context.json();
  const { data, error: second } = await client().functions.invoke("echo", { region: alternatives[0] });
  assert.equal(second, null);
  assert.equal(data.region, alternatives[0]);
});

test("contract 2.3 a list goes on to its next region and stays strict", async () => {
  const res = await send(path, { headers: { "x-region": `${down}, ${next}` } });
  assert.equal(res.status, 200);
  assert.equal(res.json().region, next);
  assert.deepEqual(res.all("x-sb-region-reason"), ["explicit_list"]);
  unavailable(await send(path, { headers: { "x-region": `${down}, ${down}` } }), down);
});

test("contract 2.3 a list that ends in any goes on to the others", async () => {
  const res = await send(path, { headers: { "x-region": `${down}, any` } });
  assert.equal(res.status, 200);
  assert.ok(regions.includes(res.json().region) && res.json().region !== down);
});

test("contract 4.4 a browser may read the 503", async () => {
  const res = await send(path, { headers: { "x-region": down, origin: "https://app.example" } });
  unavailable(res, down);
  assert.deepEqual(res.all("access-control-allow-origin"), ["*"]);
  assert.match(res.headers["access-control-expose-headers"], /retry-after/i);
});
