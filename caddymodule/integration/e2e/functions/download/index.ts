import { block } from "../_shared/bytes.ts";

// ?bytes=N of the known pattern, as an unframed (chunked) stream.
Deno.serve((req) => {
  let left = Number(new URL(req.url).searchParams.get("bytes") ?? 0);
  const body = new ReadableStream({
    pull(controller) {
      if (left === 0) return controller.close();
      const n = Math.min(left, block.length);
      controller.enqueue(block.slice(0, n));
      left -= n;
    },
  });
  return new Response(body, { headers: { "content-type": "application/octet-stream" } });
});
