// ?code=N answers with that status; ?location= makes it a redirect; ?empty leaves the body out.
Deno.serve((req) => {
  const query = new URL(req.url).searchParams;
  const status = Number(query.get("code") ?? 200);
  const headers = new Headers();
  if (query.has("location")) headers.set("location", query.get("location")!);
  const bodiless = query.has("empty") || [204, 205, 304].includes(status);
  if (!bodiless) headers.set("content-type", "application/json");
  return new Response(bodiless ? null : JSON.stringify({ status }), { status, headers });
});
