// An HTML page with a cookie: on a shared host it arrives as text and without the cookie, on an own domain as it is.
Deno.serve(() =>
  new Response("<!doctype html><title>page</title><h1>A page</h1>\n", {
    headers: { "Content-Type": "text/html; charset=utf-8", "Set-Cookie": "seen=1; Path=/" },
  })
);
