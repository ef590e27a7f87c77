Deno.serve(() => {
  throw new Error("crash on purpose");
});
