import { createHash } from "node:crypto";

// Counts and hashes the body as it comes; a multipart form is taken apart with the platform's own parser.
Deno.serve(async (req) => {
  if ((req.headers.get("content-type") ?? "").startsWith("multipart/form-data")) {
    const fields: Record<string, unknown> = {};
    for (const [name, value] of await req.formData()) {
      fields[name] = typeof value === "string" ? value : {
        name: value.name,
        type: value.type,
        length: value.size,
        sha256: createHash("sha256").update(new Uint8Array(await value.arrayBuffer())).digest("hex"),
      };
    }
    return Response.json({ fields });
  }
  const hash = createHash("sha256");
  let length = 0;
  if (req.body) {
    for await (const chunk of req.body) {
      hash.update(chunk);
      length += chunk.length;
    }
  }
  return Response.json({
    length,
    sha256: hash.digest("hex"),
    type: req.headers.get("content-type"),
    contentLength: req.headers.get("content-length"),
  });
});
