// The same as echo, deployed with verify_jwt off.
Deno.serve(async (req) => {
  const url = new URL(req.url);
  return Response.json({
    method: req.method,
    path: url.pathname,
    query: url.search,
    headers: Object.fromEntries(req.headers),
    body: await req.text(),
    region: Deno.env.get("SB_REGION"),
  });
});
