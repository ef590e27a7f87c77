import { corsHeaders } from "@supabase/supabase-js/cors";

// The usual hand-made CORS, with an origin and a header more that show whose answer it is.
Deno.serve((req) => {
  const headers = new Headers(corsHeaders);
  headers.set("access-control-allow-origin", "https://set-by-function.example");
  headers.set("access-control-expose-headers", "x-from-function");
  headers.set("x-from-function", "yes");
  if (req.method === "OPTIONS") return new Response("ok", { headers });
  return Response.json({ ok: true }, { headers });
});
