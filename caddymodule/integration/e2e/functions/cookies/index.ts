Deno.serve(() => {
  const headers = new Headers();
  headers.append("set-cookie", "first=1; Path=/; HttpOnly");
  headers.append("set-cookie", "second=2; Path=/");
  return Response.json({ ok: true }, { headers });
});
