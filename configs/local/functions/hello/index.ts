// Says hello from the region it runs in.
Deno.serve(async (req) => {
  const { name } = await req.json().catch(() => ({ name: "you" }));
  return Response.json({ message: `Hello ${name}!`, region: Deno.env.get("SB_REGION") });
});
