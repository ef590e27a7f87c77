// Headers and a first piece arrive, then the body ends without its end.
Deno.serve(() => {
  let first = true;
  const body = new ReadableStream({
    pull(controller) {
      if (!first) throw new Error("broken on purpose");
      first = false;
      controller.enqueue(new TextEncoder().encode("first piece\n"));
    },
  }, { highWaterMark: 0 });
  return new Response(body, { headers: { "content-type": "text/plain" } });
});
