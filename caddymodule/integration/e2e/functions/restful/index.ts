// A REST router that sees its own slug as the path prefix. Tasks live in this region's process.
const tasks = new Map<string, Record<string, unknown>>();
let last = 0;

const byId = new URLPattern({ pathname: "/restful/tasks/:id" });
const all = new URLPattern({ pathname: "/restful/tasks" });

async function one(req: Request, id: string): Promise<Response> {
  const known = tasks.get(id);
  if (!known) return Response.json({ error: `no task ${id}` }, { status: 404 });
  switch (req.method) {
    case "GET":
      return Response.json(known);
    case "PUT":
      tasks.set(id, { id, ...await req.json() });
      return Response.json(tasks.get(id));
    case "PATCH":
      tasks.set(id, { ...known, ...await req.json() });
      return Response.json(tasks.get(id));
    case "DELETE":
      tasks.delete(id);
      return new Response(null, { status: 204 });
  }
  return Response.json({ error: "unsupported" }, { status: 405 });
}

Deno.serve(async (req) => {
  const found = byId.exec(req.url);
  if (found) return await one(req, found.pathname.groups.id!);
  if (!all.test(req.url)) return Response.json({ error: "no such route" }, { status: 404 });
  if (req.method === "GET") return Response.json([...tasks.values()]);
  if (req.method !== "POST") return Response.json({ error: "unsupported" }, { status: 405 });
  const fields = await req.json();
  if (!fields.title) return Response.json({ error: "a task needs a title" }, { status: 422 });
  const id = String(++last);
  tasks.set(id, { id, ...fields });
  return Response.json(tasks.get(id), { status: 201 });
});
