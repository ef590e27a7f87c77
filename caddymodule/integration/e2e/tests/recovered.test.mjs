// The process that was gone listens again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { send, sleep } from "./support.mjs";

const back = process.env.E2E_DOWN_REGION;

test("2.5 named: the region answers again within ten seconds", async () => {
  let res;
  for (const end = Date.now() + 10000; Date.now() < end; await sleep(200)) {
    res = await send("/functions/v1/public-echo", { headers: { "x-region": back } });
    if (res.status === 200) break;
  }
  assert.equal(res.status, 200, res.text);
  assert.equal(res.json().region, back);
});

test("2.6 not named: it is the nearest again", async () => {
  const res = await send("/functions/v1/public-echo");
  assert.deepEqual(res.all("x-sb-edge-region"), [back]);
  assert.deepEqual(res.all("x-sb-region-reason"), ["nearest"]);
});
