import { Hono } from "hono";

const app = new Hono().basePath("/hono");

app.get("/", (c) => c.text("Hello Hono!"));
app.get("/users/:id", (c) => c.json({ id: c.req.param("id"), q: c.req.query("q") ?? null }));
app.post("/users", async (c) => c.json({ created: await c.req.json() }, 201));
app.get("/teapot", (c) => c.text("short and stout", 418));
app.get("/boom", () => {
  throw new Error("boom on purpose");
});
app.get("/away", (c) => c.redirect("/hono"));

Deno.serve(app.fetch);
