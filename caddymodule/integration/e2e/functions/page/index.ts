const html = "<!doctype html><html><body><h1>Page</h1></body></html>";

// ?type= sets another media type, ?status= another status; the body stays the same.
Deno.serve((req) => {
  const query = new URL(req.url).searchParams;
  return new Response(html, {
    status: Number(query.get("status") ?? 200),
    headers: { "content-type": query.get("type") ?? "text/html; charset=utf-8" },
  });
});
