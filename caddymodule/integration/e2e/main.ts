// The runtime of one region: loads every function below ./functions and serves it at /<slug>/..., as the main service of
// a self-hosted edge runtime does. The function files call Deno.serve like deployed ones; here that call is caught and
// its handler kept, so one process can hold all of them.
type Handler = (req: Request, info: Deno.ServeHandlerInfo) => Response | Promise<Response>;

const port = Number(Deno.env.get("E2E_PORT"));
const serve = Deno.serve;
const functions = new Map<string, Handler>();

for (const entry of Deno.readDirSync(new URL("./functions/", import.meta.url))) {
  if (!entry.isDirectory || entry.name.startsWith("_")) continue;
  Object.defineProperty(Deno, "serve", {
    configurable: true,
    value: (first: Handler | object, second?: Handler) => functions.set(entry.name, second ?? first as Handler),
  });
  await import(new URL(`./functions/${entry.name}/index.ts`, import.meta.url).href);
}
Object.defineProperty(Deno, "serve", { configurable: true, value: serve });

// The pipe from the test ends with the test, however it ends; then nobody needs this process.
(async () => {
  for await (const _ of Deno.stdin.readable);
  Deno.exit(0);
})();

Deno.serve({ port, hostname: "127.0.0.1", onListen: () => console.log(`listening ${port}`) }, (req, info) => {
  const { pathname } = new URL(req.url);
  const slug = pathname.split("/")[1];
  if (slug === "_internal") {
    if (pathname === "/_internal/health") return Response.json({ message: "ok" });
    return new Response("internal-body-that-must-stay-inside");
  }
  const handler = functions.get(slug);
  if (!handler) return Response.json({ code: "NO_SUCH_FUNCTION", slug }, { status: 404 });
  return handler(req, info);
});
