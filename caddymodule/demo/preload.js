// Runs in each Deno process before the function: what Supabase's edge-runtime has and `deno run` has not.
{
  // The other way to write a function is `export default { fetch }`, which `deno run` does not serve. The function stays the main
  // module, so that its deno.json, import.meta.main and stack traces are as ever: here it is only looked at when it has been loaded.
  const [, hostname, port] = Deno.env.get("DENO_SERVE_ADDRESS").split(":");
  addEventListener("load", async () => {
    const { default: exported } = await import(Deno.mainModule);
    if (typeof exported?.fetch !== "function") return;
    await new Promise((done) => setTimeout(done)); // node:http listens a moment after it was told to
    try {
      Deno.serve({ hostname, port: Number(port), handler: (request, info) => exported.fetch(request, info) });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error; // it serves already, and that server keeps the address
    }
  }, { once: true });

  const pending = new Set();

  // The promise goes on after the answer. One that fails is logged and ends nothing.
  const waitUntil = (promise) => {
    const kept = Promise.resolve(promise)
      .catch((error) => console.error("EdgeRuntime.waitUntil: the promise was rejected:", error))
      .finally(() => pending.delete(kept));
    pending.add(kept);
    return promise;
  };
  Object.defineProperty(globalThis, "EdgeRuntime", { configurable: true, enumerable: true, value: { waitUntil } });

  // The demo sends SIGTERM when no call is under way any more, and SIGKILL if this takes too long.
  let ending = false;
  Deno.addSignalListener("SIGTERM", async () => {
    if (ending) return;
    ending = true;
    try {
      globalThis.dispatchEvent(new CustomEvent("beforeunload", { detail: { reason: "termination" } }));
    } catch (error) {
      console.error(error);
    }
    if (pending.size > 0) console.log(`waiting for ${pending.size} EdgeRuntime.waitUntil`);
    while (pending.size > 0) await Promise.allSettled(pending);
    Deno.exit(0);
  });
}
