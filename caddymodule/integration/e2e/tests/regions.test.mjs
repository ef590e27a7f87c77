// Section 2: who chooses the region, and what every answer says about it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bearer, regions, send, uuidV7 } from "./support.mjs";

const [near, second, far] = regions;
const path = "/functions/v1/public-echo";

function ranIn(res, region, reason) {
  assert.equal(res.status, 200, res.text);
  assert.equal(res.json().region, region);
  assert.deepEqual(res.all("x-sb-edge-region"), [region]);
  assert.deepEqual(res.all("x-sb-region-reason"), [reason]);
}

const chosen = [
  ["contract 2.1 header", { "x-region": second }, "", second, "explicit"],
  ["contract 2.1 query", {}, `?forceFunctionRegion=${far}`, far, "explicit"],
  ["contract 2.1 header any", { "x-region": "any" }, "", near, "nearest"],
  ["contract 2.1 header empty", { "x-region": "" }, "", near, "nearest"],
  ["contract 2.1 query any", {}, "?forceFunctionRegion=any", near, "nearest"],
  ["contract 2.1 query empty", {}, "?forceFunctionRegion=", near, "nearest"],
  ["contract 2.2 header wins over query", { "x-region": second }, `?forceFunctionRegion=${far}`, second, "explicit"],
  ["contract 2.2 header any leaves it to the query", { "x-region": "any" }, `?forceFunctionRegion=${far}`, far, "explicit"],
  ["contract 2.2 header empty leaves it to the query", { "x-region": "" }, `?forceFunctionRegion=${far}`, far, "explicit"],
  ["contract 2.2 first value of the query", {}, `?forceFunctionRegion=${far}&forceFunctionRegion=${second}`, far, "explicit"],
  ["contract 2.2 query percent-decoded", {}, `?forceFunctionRegion=${far.replace("-", "%2D")}`, far, "explicit"],
  ["contract 2.3 list", { "x-region": `${far}, ${second}` }, "", far, "explicit_list"],
  ["contract 2.3 list ending in any", { "x-region": `${second},any` }, "", second, "explicit_list"],
  ["contract 2.3 list in the query", {}, `?forceFunctionRegion=${far},${second}`, far, "explicit_list"],
  ["contract 2.6 not named", {}, "", near, "nearest"],
];
for (const [name, headers, query, region, reason] of chosen) {
  test(`${name}: ${region}, ${reason}`, async () => {
    const res = await send(path + query, { headers });
    ranIn(res, region, reason);
    assert.equal(res.json().query, query === "?" ? "" : query, "contract 1.3 the raw query passes");
  });
}

const unknown = [
  ["unknown name", { "x-region": "mars-1" }, ""],
  ["case matters", { "x-region": near.toUpperCase() }, ""],
  ["known to the SDK but not configured", { "x-region": "sa-east-1" }, ""],
  ["one unknown item of a list", { "x-region": `${near}, mars-1` }, ""],
  ["any not last in a list", { "x-region": `any, ${near}` }, ""],
  ["in the query", {}, "?forceFunctionRegion=mars-1"],
];
for (const [name, headers, query] of unknown) {
  test(`contract 2.4 ${name}: 400 INVALID_REGION that lists the configured ones`, async () => {
    const res = await send(path + query, { headers });
    assert.equal(res.status, 400);
    assert.equal(res.headers["sb-error-code"], "INVALID_REGION");
    const body = res.json();
    assert.equal(body.code, "INVALID_REGION");
    for (const region of regions) assert.ok(body.message.includes(region), body.message);
  });
}

test("contract 2.7 a region header that the function sets is replaced, never doubled", async () => {
  const query = "?set=x-sb-edge-region:mars-1&set=x-sb-region-reason:magic&set=sb-request-id:forged&set=sb-gateway-version:9";
  const res = await send("/functions/v1/echo" + query, { headers: bearer });
  ranIn(res, near, "nearest");
  assert.equal(res.all("sb-request-id").length, 1);
  assert.match(res.headers["sb-request-id"], uuidV7);
  assert.deepEqual(res.all("sb-gateway-version"), ["1"]);
});

test("contract 2.8 an executed answer carries each sb- header exactly once", async () => {
  const res = await send(path);
  assert.equal(res.all("sb-request-id").length, 1);
  assert.match(res.headers["sb-request-id"], uuidV7);
  assert.deepEqual(res.all("sb-gateway-version"), ["1"]);
  assert.deepEqual(res.all("sb-project-ref"), ["default"]);
  assert.deepEqual(res.all("x-served-by"), ["supabase-edge-runtime"]);
  assert.equal(res.headers["x-deno-execution-id"], undefined);
  const again = await send(path);
  assert.notEqual(again.headers["sb-request-id"], res.headers["sb-request-id"]);
});

test("contract 2.8 the backend's own x-served-by and x-deno-execution-id pass", async () => {
  const res = await send("/functions/v1/echo?set=x-served-by:my-runtime&set=x-deno-execution-id:e-1", { headers: bearer });
  assert.deepEqual(res.all("x-served-by"), ["my-runtime"]);
  assert.deepEqual(res.all("x-deno-execution-id"), ["e-1"]);
});

const refusals = [
  ["404", "/functions/v1/no-such", {}, 404],
  ["400", "/functions/v1/public-echo", { "x-region": "mars-1" }, 400],
  ["401", "/functions/v1/echo", {}, 401],
];
for (const [name, where, headers, status] of refusals) {
  test(`contract 2.8 a gateway answer ${name} carries the sb- headers and no execution`, async () => {
    const res = await send(where, { headers });
    assert.equal(res.status, status);
    assert.match(res.headers["sb-request-id"], uuidV7);
    assert.deepEqual(res.all("sb-gateway-version"), ["1"]);
    assert.deepEqual(res.all("sb-project-ref"), ["default"]);
    assert.equal(res.headers["x-deno-execution-id"], undefined);
    assert.match(res.headers["content-type"], /^application\/json/);
  });
}
