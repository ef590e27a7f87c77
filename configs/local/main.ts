// The runtime of one region: serves every folder of ./functions at /<slug>, as the main service of Supabase's
// edge-runtime does. Functions call Deno.serve like deployed ones; the call is caught and its handler kept.
type Handler = (req: Request, info: Deno.ServeHandlerInfo) => Response | Promise<Response>;

const serve = Deno.serve;
const functions = new Map<string, Handler>();
for (const entry of Deno.readDirSync(new URL("./functions/", import.meta.url))) {
  if (!entry.isDirectory || entry.name.startsWith("_")) continue;
  const keep = (first: Handler | object, second?: Handler) => functions.set(entry.name, second ?? first as Handler);
  Object.defineProperty(Deno, "serve", { configurable: true, value: keep });
  await import(new URL(`./functions/${entry.name}/index.ts`, import.meta.url).href);
}

const port = Number(Deno.env.get("PORT"));
serve({ port, hostname: "127.0.0.1", onListen: () => console.log(`listening on ${port}`) }, (req, info) => {
  const slug = new URL(req.url).pathname.split("/")[1];
  const handler = functions.get(slug);
  return handler ? handler(req, info) : Response.json({ code: "NOT_FOUND", message: `no function ${slug}` }, { status: 404 });
});
