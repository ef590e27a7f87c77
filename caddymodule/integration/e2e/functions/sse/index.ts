import { sleep } from "../_shared/bytes.ts";

// ?events=N events, ?every=MS apart, then ?silence=MS of nothing before the last event.
Deno.serve((req) => {
  const query = new URL(req.url).searchParams;
  const events = Number(query.get("events") ?? 3);
  const every = Number(query.get("every") ?? 100);
  const silence = Number(query.get("silence") ?? 0);
  const text = new TextEncoder();
  let cancelled = false;
  const body = new ReadableStream({
    async start(controller) {
      const send = (data: unknown) => {
        if (!cancelled) controller.enqueue(text.encode(`data: ${JSON.stringify(data)}\n\n`));
      };
      for (let n = 1; n <= events && !cancelled; n++) {
        send({ n, region: Deno.env.get("SB_REGION") });
        await sleep(every);
      }
      if (silence > 0) await sleep(silence);
      send({ done: true });
      if (!cancelled) controller.close();
    },
    cancel() {
      cancelled = true;
    },
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-cache" },
  });
});
