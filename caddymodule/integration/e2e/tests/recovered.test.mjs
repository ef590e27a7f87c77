// The process that was gone listens again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { send, sleep } from "./support.mjs";

const back = process.env.E2E_DOWN_REGION;

test("contract 2.5 named: the region answers again within ten seconds", async () => {
  let res;
  for (const end = Date.now() + 10000; Date.now() < end; await sleep(200)) {
    res = await send("/functions/v1/public-echo", { headers: { "x-region": back } });
    if (res.status === 200) break;
  }
  assert.equal(res.status, 200, res.text);
  assert.equal(res.json().region, back);
});

test("contract 2.6 not named: it gets its share back, little by little", async () => {
  const reasons = new Set();
  for (const end = Date.now() + 20000; Date.now() < end && !reasons.has(`${back} nearest`); await sleep(200)) {
    const all = await Promise.all(Array.from({ length: 10 }, () => send("/functions/v1/public-echo")));
    for (const res of all) {
      assert.equal(res.status, 200);
      reasons.add(`${res.headers["x-sb-edge-region"]} ${res.headers["x-sb-region-reason"]}`);
    }
  }
  assert.ok(reasons.has(`${back} nearest`), [...reasons].join(", "));
});
