// Rules 6.6 and 3.15, with the ws package as the client.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import WebSocket from "ws";
import { anonJwt, jwtSecret, regions, sign, url } from "./support.mjs";

const base = url.replace("http", "ws") + "/functions/v1/ws-echo";

async function open(query = `?jwt=${anonJwt}`, protocols = [], options = {}) {
  const ws = new WebSocket(base + query, protocols, { handshakeTimeout: 5000, ...options });
  ws.upgrade = new Promise((resolve) => ws.once("upgrade", resolve));
  await once(ws, "open");
  return ws;
}

async function ask(ws, message) {
  const gone = new AbortController();
  ws.once("close", (code) => gone.abort(new Error(`closed with ${code}`)));
  ws.send(message);
  const [data, isBinary] = await once(ws, "message", { signal: gone.signal });
  return isBinary ? data : data.toString();
}

async function closed(ws) {
  const [code, reason] = await once(ws, "close");
  return { code, reason: reason.toString() };
}

// refused connects and returns the HTTP answer that came instead of the upgrade.
function refused(query, protocols = [], options = {}, at = base) {
  const ws = new WebSocket(at + query, protocols, options);
  return new Promise((resolve, reject) => {
    ws.once("open", () => { ws.terminate(); reject(new Error("the upgrade was accepted")); });
    ws.once("error", reject);
    ws.once("unexpected-response", async (req, res) => {
      const { socket } = res;
      let body = "";
      for await (const chunk of res) body += chunk;
      socket.destroy(); // ws leaves the connection, and with it this process, open
      resolve({ status: res.statusCode, headers: res.headers, body });
    });
  });
}

test("contract 6.6 text and binary messages come back as they were", async () => {
  const ws = await open();
  assert.equal(await ask(ws, "hello ü"), "hello ü");
  assert.equal(await ask(ws, ""), "");
  assert.deepEqual(await ask(ws, Buffer.from([0, 255, 10])), Buffer.from([0, 255, 10]));
  const big = "x".repeat(300000);
  assert.equal(await ask(ws, big), big);
  ws.close(1000, "done");
  assert.equal((await closed(ws)).code, 1000);
});

for (const code of [1000, 3001, 4001, 4999]) {
  test(`contract 6.6 the function's close code ${code} reaches the client`, async () => {
    const ws = await open();
    ws.send(`close:${code}:because ${code}`);
    assert.deepEqual(await closed(ws), { code, reason: `because ${code}` });
  });
}

test("contract 6.6 the 101 carries the region headers once", async () => {
  const ws = await open();
  const { headers } = await ws.upgrade;
  assert.equal(headers["x-sb-edge-region"], regions[0]);
  assert.equal(headers["x-sb-region-reason"], "nearest");
  assert.ok(headers["sb-request-id"]);
  ws.terminate();
});

test("contract 2.1 a WebSocket follows x-region and forceFunctionRegion", async () => {
  const byHeader = await open(`?jwt=${anonJwt}`, [], { headers: { "x-region": regions[1] } });
  assert.equal(JSON.parse(await ask(byHeader, "info")).region, regions[1]);
  byHeader.terminate();
  const byQuery = await open(`?jwt=${anonJwt}&forceFunctionRegion=${regions[2]}`);
  assert.equal(JSON.parse(await ask(byQuery, "info")).region, regions[2]);
  byQuery.terminate();
});

test("contract 3.15 ?jwt= reaches the function unchanged", async () => {
  const ws = await open(`?a=1&jwt=${anonJwt}&b=%20`);
  const info = JSON.parse(await ask(ws, "info"));
  assert.equal(info.query, `?a=1&jwt=${anonJwt}&b=%20`);
  assert.equal(info.path, "/ws-echo");
  ws.terminate();
});

test("contract 3.15 the subprotocol jwt-<token> reaches the function unchanged and is agreed", async () => {
  // One protocol: ws joins several by a bare comma, which Deno does not take apart.
  const ws = await open("", [`jwt-${anonJwt}`]);
  const info = JSON.parse(await ask(ws, "info"));
  assert.equal(info.protocols, `jwt-${anonJwt}`);
  assert.equal(ws.protocol, `jwt-${anonJwt}`);
  ws.terminate();
});

test("contract 6.6 the function's refusal passes with its status, headers and body", async () => {
  const none = await refused("");
  assert.equal(none.status, 401);
  assert.deepEqual(JSON.parse(none.body), { error: "no token" });
  const bad = await refused(`?jwt=${sign({}, { secret: jwtSecret + "x" })}`);
  assert.equal(bad.status, 403);
  assert.deepEqual(JSON.parse(bad.body), { error: "bad token" });
  assert.equal(bad.headers["x-refused-by"], "ws-echo");
  assert.equal(bad.headers["x-sb-edge-region"], regions[0]);
});

test("contract 3.2 an upgrade to a function with verify_jwt is 401 by the gateway", async () => {
  const res = await refused("", [], {}, base.replace("ws-echo", "echo"));
  assert.equal(res.status, 401);
  assert.equal(JSON.parse(res.body).code, "UNAUTHORIZED_NO_AUTH_HEADER");
});

test("contract 1.4 an upgrade to an unknown function is 404", async () => {
  assert.equal((await refused("", [], {}, base.replace("ws-echo", "nope"))).status, 404);
});

test("contract 2.4 an upgrade to an unknown region is 400", async () => {
  assert.equal((await refused(`?jwt=${anonJwt}&forceFunctionRegion=mars-1`)).status, 400);
});

test("contract 6.6 fifty sockets at once echo independently", async () => {
  const all = await Promise.all(Array.from({ length: 50 }, () => open()));
  const answers = await Promise.all(all.map((ws, i) => ask(ws, `socket ${i}`)));
  assert.deepEqual(answers, all.map((_, i) => `socket ${i}`));
  for (const ws of all) ws.terminate();
});

test("contract 6.6 pings pass both ways", async () => {
  const ws = await open();
  ws.ping("are you there");
  const [data] = await once(ws, "pong");
  assert.equal(data.toString(), "are you there");
  ws.terminate();
});
