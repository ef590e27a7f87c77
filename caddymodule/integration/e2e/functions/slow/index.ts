import { sleep } from "../_shared/bytes.ts";

Deno.serve(async (req) => {
  const ms = Number(new URL(req.url).searchParams.get("ms") ?? 1000);
  await sleep(ms);
  return Response.json({ sleptMs: ms });
});
