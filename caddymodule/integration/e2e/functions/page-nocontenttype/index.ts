// Bytes, not a string: for a string Deno would add a Content-Type itself.
const html = new TextEncoder().encode("<!doctype html><html><body><h1>Untyped</h1></body></html>");

Deno.serve((req) => {
  if (new URL(req.url).searchParams.has("plain")) {
    return new Response(new TextEncoder().encode("just words"));
  }
  return new Response(html);
});
