Deno.serve(() => Response.json({ code: "WORKER_ERROR", message: "The worker ended early" }, { status: 500 }));
