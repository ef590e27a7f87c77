Deno.serve(() => Response.json({ code: "BOOT_ERROR", message: "The function did not start" }, { status: 503 }));
