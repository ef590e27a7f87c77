import { verify } from "../_shared/jwt.ts";

// Deployed with verify_jwt off: browsers cannot set headers on a WebSocket, so the token comes as ?jwt= or as the
// subprotocol jwt-<token>, and this function judges it itself.
Deno.serve((req) => {
  if ((req.headers.get("upgrade") ?? "").toLowerCase() !== "websocket") {
    return Response.json({ error: "a WebSocket is needed" }, { status: 426 });
  }
  const url = new URL(req.url);
  const protocols = req.headers.get("sec-websocket-protocol"); // the request is gone after the upgrade
  const offered = (protocols ?? "").split(",").map((p) => p.trim());
  const spoken = offered.find((p) => p.startsWith("jwt-"));
  const token = url.searchParams.get("jwt") ?? spoken?.slice("jwt-".length);
  if (!token) return Response.json({ error: "no token" }, { status: 401 });
  if (!verify(token, Deno.env.get("JWT_SECRET")!)) {
    return Response.json({ error: "bad token" }, { status: 403, headers: { "x-refused-by": "ws-echo" } });
  }
  const { socket, response } = Deno.upgradeWebSocket(req, spoken ? { protocol: spoken } : {});
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") return socket.send(data);
    if (data.startsWith("close:")) {
      const [, code, reason] = data.split(":");
      return socket.close(Number(code), reason);
    }
    if (data === "info") {
      return socket.send(JSON.stringify({
        query: url.search,
        path: url.pathname,
        protocols,
        region: Deno.env.get("SB_REGION"),
      }));
    }
    socket.send(data);
  };
  return response;
});
