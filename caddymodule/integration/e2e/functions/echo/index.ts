// What arrived, as this function sees it. ?set=Name:Value (repeatable) sets headers of the answer.
Deno.serve(async (req) => {
  const url = new URL(req.url);
  const headers = new Headers();
  for (const pair of url.searchParams.getAll("set")) {
    const at = pair.indexOf(":");
    headers.append(pair.slice(0, at), pair.slice(at + 1));
  }
  return Response.json({
    method: req.method,
    path: url.pathname,
    query: url.search,
    headers: Object.fromEntries(req.headers),
    body: await req.text(),
    region: Deno.env.get("SB_REGION"),
  }, { headers });
});
