// Runs in each Deno process before the function: what Supabase's edge-runtime has and Deno has not.
{
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
