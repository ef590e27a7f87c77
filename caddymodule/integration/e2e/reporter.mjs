// A node:test reporter for the Go runner: one JSON line per finished test.
const set = (mark) => mark !== undefined && mark !== false;

export default async function* reporter(events) {
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const error = data.details?.error;
    const cause = error?.cause ?? error;
    yield JSON.stringify({
      name: data.name,
      nesting: data.nesting,
      suite: data.details?.type === "suite",
      passed: type === "test:pass",
      skipped: set(data.skip) || set(data.todo),
      error: error ? String(cause?.stack ?? cause) : "",
    }) + "\n";
  }
}
