Deno.serve(() =>
  Response.json({ error: "relay" }, { status: 500, headers: { "x-relay-error": "true" } })
);
