// What the tests with a real Chromium share. Every host name is this machine, so that projects have hosts of their own.
import { chromium } from "playwright-core";

// browser starts Chromium. The origins are treated as secure, or there would be no service workers without TLS.
export function browser(secure = []) {
  return chromium.launch({
    executablePath: process.env.E2E_CHROMIUM,
    timeout: 60_000,
    args: [
      "--no-sandbox", // the tests may run as root, and load nothing but their own pages
      "--host-resolver-rules=MAP * 127.0.0.1",
      `--unsafely-treat-insecure-origin-as-secure=${secure.join(",")}`,
    ],
  });
}

// answer is the query that has the scripted backend answer so.
export const answer = (script) => `?answer=${encodeURIComponent(JSON.stringify(script))}`;

// site is the address by which pages that are no function's come straight from the scripted backend.
export const site = (host) => `http://${host}:${process.env.E2E_SCRIPTED_PORT}`;

// html is a script of a page.
export const html = (body) => answer({ header: [["Content-Type", "text/html"]], body });
