Deno.serve(() =>
  Response.json(
    { code: "WORKER_RESOURCE_LIMIT", message: "This worker ran out of what it was given" },
    { status: 546 },
  )
);
