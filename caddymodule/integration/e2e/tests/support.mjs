// What the test files share: the addresses from the Go runner, keys, a raw-ish HTTP client and a supabase-js client.
import { createHmac } from "node:crypto";
import { request as httpRequest } from "node:http";
import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these files are run by the Go tests of this directory`);
  return value;
}

export const url = need("E2E_URL");
export const deadUrl = need("E2E_DEAD_URL");
export const ownHost = need("E2E_OWN_HOST");
export const regions = need("E2E_REGIONS").split(",");
export const anonJwt = need("E2E_ANON_JWT");
export const publishableKey = need("E2E_PUBLISHABLE_KEY");
export const secretKey = need("E2E_SECRET_KEY");
export const jwtSecret = need("E2E_JWT_SECRET");
export const fn = `${url}/functions/v1`;
export const bearer = { authorization: `Bearer ${anonJwt}` };

const b64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

export function sign(claims, { secret = jwtSecret, header = { alg: "HS256", typ: "JWT" } } = {}) {
  const text = `${b64(header)}.${b64(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

export const now = () => Math.floor(Date.now() / 1000);

// send is node:http, because fetch hides repeated headers, follows redirects and adds headers of its own.
export function send(path, { method = "GET", headers = {}, body, base = url } = {}) {
  const target = new URL(base);
  return new Promise((resolve, reject) => {
    let answered = false;
    const req = httpRequest(
      { host: target.hostname, port: target.port, path, method, headers: { connection: "close", ...headers } },
      (res) => {
        answered = true;
        const chunks = [];
        res.on("data", (chunk) => chunks.push(chunk));
        res.on("error", reject);
        res.on("end", () => {
          const bytes = Buffer.concat(chunks);
          resolve({
            status: res.statusCode,
            headers: res.headers,
            all: (name) => {
              const found = [];
              for (let i = 0; i < res.rawHeaders.length; i += 2) {
                if (res.rawHeaders[i].toLowerCase() === name) found.push(res.rawHeaders[i + 1]);
              }
              return found;
            },
            bytes,
            text: bytes.toString(),
            json: () => JSON.parse(bytes.toString()),
          });
        });
      },
    );
    // An answer that came before the body was sent counts; that the rest could not be written then is no failure.
    req.on("error", (error) => answered || reject(error));
    req.end(body);
  });
}

// client is supabase-js as an application makes it. Every request and response it exchanged is kept in `seen`.
export function client({ key = anonJwt, base = url, headers = {} } = {}) {
  const seen = [];
  const supabase = createClient(base, key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    realtime: { transport: WebSocket },
    global: {
      headers,
      fetch: async (input, init) => {
        const entry = { url: String(input), method: init?.method, headers: new Headers(init?.headers) };
        seen.push(entry);
        entry.response = await fetch(input, init);
        return entry.response;
      },
    },
  });
  return { supabase, functions: supabase.functions, seen, last: () => seen[seen.length - 1] };
}

export function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

export const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

// list splits a comma-separated header into lower-case tokens.
export const list = (value) => (value ?? "").split(",").map((item) => item.trim().toLowerCase()).filter(Boolean);
