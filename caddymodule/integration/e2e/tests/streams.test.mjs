// Rule 6.5: nothing is held back, nothing is lost.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { request } from "node:http";
import { test } from "node:test";
import { bearer, fn, send, sleep } from "./support.mjs";

const block = Uint8Array.from({ length: 65536 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
const size = 10 * 1024 * 1024;
function hashOf(length) {
  const hash = createHash("sha256");
  for (let left = length; left > 0; left -= block.length) hash.update(block.subarray(0, Math.min(left, block.length)));
  return hash.digest("hex");
}

test("contract 6.5 each event of an SSE stream arrives when it is sent", async () => {
  const started = Date.now();
  const res = await fetch(`${fn}/sse?events=4&every=250`);
  assert.equal(res.headers.get("content-type"), "text/event-stream");
  assert.equal(res.headers.get("content-encoding"), null);
  const times = [];
  for await (const chunk of res.body) {
    const n = Buffer.from(chunk).toString().match(/^data: /gm)?.length ?? 0;
    for (let i = 0; i < n; i++) times.push(Date.now() - started);
  }
  assert.equal(times.length, 5);
  assert.ok(times[0] < 240, `the first came after ${times[0]} ms`);
  for (let i = 1; i < times.length; i++) {
    assert.ok(times[i] - times[i - 1] > 100, `events ${i} and ${i + 1} came together: ${times}`);
  }
});

test("contract 6.5 a silence inside a stream is kept and the last event still comes", async () => {
  const res = await fetch(`${fn}/sse?events=1&every=1&silence=1500`);
  assert.match(await res.text(), /"done":true/);
});

test("contract 6.5 a client that leaves a stream does not hurt the next one", async () => {
  for (let i = 0; i < 5; i++) {
    const stop = new AbortController();
    const res = await fetch(`${fn}/sse?events=100&every=50`, { signal: stop.signal });
    const reader = res.body.getReader();
    await reader.read();
    stop.abort();
    await assert.rejects(async () => { while (!(await reader.read()).done); });
  }
  assert.match(await (await fetch(`${fn}/sse?events=1&every=1`)).text(), /"done":true/);
});

test("contract 6.5 10 MB up with Content-Length: length and hash agree", async () => {
  const body = Buffer.concat(Array(size / block.length).fill(block));
  const res = await send("/functions/v1/upload", {
    method: "POST",
    headers: { ...bearer, "content-length": size, "content-type": "application/octet-stream" },
    body,
  });
  const got = res.json();
  assert.equal(got.length, size);
  assert.equal(got.sha256, hashOf(size));
  assert.equal(got.contentLength, String(size));
});

test("contract 6.5 10 MB up in chunks of odd sizes", async () => {
  const { status, text } = await new Promise((resolve, reject) => {
    const target = new URL(fn + "/upload");
    const req = request(target, { method: "POST", headers: { ...bearer } }, (res) => {
      let body = "";
      res.on("data", (chunk) => (body += chunk));
      res.on("end", () => resolve({ status: res.statusCode, text: body }));
    });
    req.on("error", reject);
    (async () => {
      let at = 0;
      for (let left = size; left > 0;) {
        const n = Math.min(left, 1 + (at * 7919) % 30011, block.length - (at % block.length));
        if (!req.write(block.subarray(at % block.length, (at % block.length) + n))) {
          await new Promise((go) => req.once("drain", go));
        }
        at += n;
        left -= n;
      }
      req.end();
    })();
  });
  assert.equal(status, 200, text);
  assert.equal(JSON.parse(text).sha256, hashOf(size));
});

test("contract 6.5 10 MB down: length and hash agree", async () => {
  const res = await send(`/functions/v1/download?bytes=${size}`);
  assert.equal(res.bytes.length, size);
  assert.equal(createHash("sha256").update(res.bytes).digest("hex"), hashOf(size));
});

test("contract 6.5 a slow reader gets everything", async () => {
  const res = await fetch(`${fn}/download?bytes=${2 * 1024 * 1024}`);
  const hash = createHash("sha256");
  let n = 0;
  for await (const chunk of res.body) {
    hash.update(chunk);
    if (n++ % 8 === 0) await sleep(5);
  }
  assert.equal(hash.digest("hex"), hashOf(2 * 1024 * 1024));
});

test("contract 6.5 forty calls at once each get their own answer", async () => {
  const all = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    const res = await fetch(`${fn}/echo/${i}`, { method: "POST", headers: bearer, body: `body ${i}` });
    return [i, await res.json()];
  }));
  for (const [i, got] of all) {
    assert.equal(got.path, `/echo/${i}`);
    assert.equal(got.body, `body ${i}`);
  }
});
