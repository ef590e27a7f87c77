// Server-sent events: one every ?every= seconds (default 1), for ever.
Deno.serve((req) => {
  const every = Number(new URL(req.url).searchParams.get("every") ?? 1);
  let timer: number;
  const body = new ReadableStream({
    start(controller) {
      const tick = () => controller.enqueue(new TextEncoder().encode(`data: ${new Date().toISOString()}\n\n`));
      tick();
      timer = setInterval(tick, every * 1000);
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
});
