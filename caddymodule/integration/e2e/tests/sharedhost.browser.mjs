// Contract 6.3, 6.4 in Chromium: what a function does on a shared host reaches no other project. Each case runs twice: function `f` as
// it comes, and function `kept` with `html keep`, which shows that the case could fail.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answer, browser, html, site } from "./browser.mjs";

const host = process.env.E2E_FIRST_HOST;
const other = process.env.E2E_SECOND_HOST;
const worker = `/functions/v1/f${answer({ header: [["Content-Type", "text/javascript"], ["Service-Worker-Allowed", "/"]], body: "self.x = 1" })}`;

// payload is what an attacker would run: it marks the apex with a cookie and takes the host over.
const payload = `document.cookie = "script=ran; Domain=example.test; Path=/";
try { navigator.serviceWorker.register(${JSON.stringify(worker)}, { scope: "/" }); } catch (e) {}`;
const cdata = (text) => `<![CDATA[${text}]]>`;
const xhtml = `<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body><script>${cdata(payload)}</script></body></html>`;
const svg = `<svg xmlns="http://www.w3.org/2000/svg"><script>${cdata(payload)}</script></svg>`;
const xsl = `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><html><body><script>${cdata(payload)}</script></body></html></xsl:template></xsl:stylesheet>`;
const page = `<!doctype html><body><script>${payload}</script></body>`;
const styled = (slug) => `<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="/functions/v1/${slug}${answer({ header: [["Content-Type", "text/xsl"]], body: xsl }).replaceAll("&", "&amp;")}"?><x/>`;

// runs says whether this Chromium runs the script where nothing forbids it.
const cases = [
  { name: "HTML", type: "text/html", body: page, runs: true },
  { name: "HTML in capitals", type: "TEXT/HTML;charset=utf-8", body: page, runs: true },
  { name: "XHTML", type: "application/xhtml+xml", body: xhtml, runs: true },
  { name: "XML with XHTML in it", type: "application/xml", body: xhtml, runs: true },
  { name: "text/xml", type: "text/xml", body: xhtml, runs: true },
  { name: "any +xml", type: "application/rss+xml", body: xhtml },
  { name: "SVG", type: "image/svg+xml", body: svg, runs: true },
  { name: "XML with a style sheet", type: "text/xml", body: styled },
  { name: "XSL", type: "text/xsl", body: xhtml },
  { name: "RDF", type: "application/rdf+xml", body: xhtml },
  { name: "no type", body: page, runs: true },
  { name: "a type that is none", type: "html", body: page },
  { name: "unknown/unknown", type: "unknown/unknown", body: page, runs: true },
  { name: "two types", type: "text/plain, text/html", body: page },
  { name: "parts", type: "multipart/x-mixed-replace;boundary=b", body: `--b\r\nContent-Type: text/html\r\n\r\n${page}\r\n--b--` },
  { name: "HTML with a weak policy", type: "text/html", body: page, runs: true, more: [["Content-Security-Policy", "script-src * 'unsafe-inline'; sandbox allow-scripts allow-same-origin"]] },
];

let chromium;
before(async () => {
  chromium = await browser([`http://${host}`, `http://${other}`]);
});
after(() => chromium.close());

// visit opens an answer of a function, as a page or as the answer to a form of another site, and returns the cookies of the apex and the
// service workers of the host then.
async function visit(context, slug, how, { type, body, more = [] }, status) {
  const script = {
    status, body: typeof body === "function" ? body(slug) : body,
    header: [...(type === undefined ? [] : [["Content-Type", type]]), ["Set-Cookie", "header=set; Domain=example.test; Path=/"], ...more],
  };
  const tab = await context.newPage();
  const target = `http://${host}/functions/v1/${slug}${answer(script)}`;
  if (how === "link") {
    await tab.goto(target, { waitUntil: "load" }).catch(() => {}); // a download is no page
  } else {
    await tab.goto(site("attacker.test") + "/" + html(`<!doctype html><form method="post" action="${target.replaceAll('"', "&quot;")}"></form>`));
    await Promise.all([
      Promise.race([tab.waitForURL((url) => url.host === host, { waitUntil: "load" }), tab.waitForEvent("download")]).catch(() => {}),
      tab.evaluate(() => document.forms[0].submit()),
    ]);
  }
  const cookies = (await context.cookies()).map((cookie) => `${cookie.name} of ${cookie.domain}`).sort();
  const workers = context.serviceWorkers().length;
  await tab.close();
  return { cookies, workers };
}

for (const c of cases) {
  for (const [how, status] of [["link", 200], ["form", c.runs ? 404 : 200]]) {
    test(`contract 6.3 ${c.name}, by a ${how}, status ${status}`, async () => {
      const context = await chromium.newContext();
      try {
        assert.deepEqual(await visit(context, "f", how, c, status), { cookies: [], workers: 0 });
      } finally {
        await context.close();
      }
    });
  }
  if (c.runs) {
    test(`contract 6.3 the control: ${c.name} of a function with html keep`, async () => {
      const context = await chromium.newContext();
      try {
        const { cookies } = await visit(context, "kept", "form", c, 200);
        assert.deepEqual(cookies, ["header of .example.test", "script of .example.test"]);
        const second = await context.newPage(); // and so it reaches the other project
        const res = await second.goto(`http://${other}/functions/v1/kept${html("x")}`);
        assert.match((await res.request().allHeaders()).cookie, /script=ran/);
      } finally {
        await context.close();
      }
    });
  }
}

test("contract 6.3 a service worker of the host, by script of a function that keeps HTML, as the control", async () => {
  const context = await chromium.newContext();
  const tab = await context.newPage();
  const target = worker.replace("/f?", "/kept?");
  await tab.goto(`http://${host}/functions/v1/kept${html("<!doctype html><title>x</title>")}`);
  const register = (url) => tab.evaluate(async ([script]) => {
    try {
      await navigator.serviceWorker.register(script, { scope: "/" });
      return "registered";
    } catch (error) {
      return error.name;
    }
  }, [url]);
  assert.equal(await register(target), "registered");
  // The same script of a function that is as it comes may not have the whole host.
  assert.equal(await register(worker), "SecurityError");
  await context.close();
});

test("contract 6.3 Clear-Site-Data and HSTS of a function touch nothing of the host", async () => {
  const context = await chromium.newContext();
  await context.addCookies([{ name: "mine", value: "1", domain: host.split(":")[0], path: "/" }]);
  const tab = await context.newPage();
  const more = [["Clear-Site-Data", '"cookies", "storage"'], ["Refresh", `0;url=${site("attacker.test")}/`]];
  const script = { header: [["Content-Type", "text/plain"], ...more], body: "ok" };
  await tab.goto(`http://${host}/functions/v1/f${answer(script)}`, { waitUntil: "load" });
  assert.equal((await context.cookies()).length, 1);
  assert.equal(new URL(tab.url()).host, host);
  await context.close();
});
