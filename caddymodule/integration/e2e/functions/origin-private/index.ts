// Only one origin may call this. Deployed with `cors function`, so the preflight is judged here too.
const friend = "https://friend.example";

Deno.serve((req) => {
  const origin = req.headers.get("origin");
  if (origin !== friend) return Response.json({ error: "not for you" }, { status: 403 });
  const headers = { "access-control-allow-origin": friend, vary: "Origin" };
  if (req.method === "OPTIONS") {
    return new Response(null, { status: 200, headers: { ...headers, "access-control-allow-methods": "POST" } });
  }
  return Response.json({ ok: true }, { headers });
});
