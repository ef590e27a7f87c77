// Answers with what it got. ?type= is the content type of the answer; ?form makes the answer a form with one field.
Deno.serve(async (req) => {
  const query = new URL(req.url).searchParams;
  if (query.has("form")) {
    const form = new FormData();
    form.set("field", await req.text());
    return new Response(form);
  }
  return new Response(await req.arrayBuffer(), { headers: { "content-type": query.get("type") ?? "" } });
});
