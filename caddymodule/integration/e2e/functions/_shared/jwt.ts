// HS256 check with nothing but node:crypto, for the functions that look at a token themselves.
import { createHmac, timingSafeEqual } from "node:crypto";

export function verify(token: string, secret: string): Record<string, unknown> | null {
  const parts = token.split(".");
  if (parts.length !== 3) return null;
  const want = createHmac("sha256", secret).update(`${parts[0]}.${parts[1]}`).digest();
  const got = base64url(parts[2]);
  if (got === null || got.length !== want.length || !timingSafeEqual(got, want)) return null;
  try {
    return JSON.parse(new TextDecoder().decode(base64url(parts[1])!));
  } catch {
    return null;
  }
}

function base64url(text: string): Uint8Array | null {
  try {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}
