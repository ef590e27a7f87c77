Deno.serve(async (req) => {
  const { name } = await req.json();
  return Response.json({ message: `Hello ${name}!`, region: Deno.env.get("SB_REGION") });
});
