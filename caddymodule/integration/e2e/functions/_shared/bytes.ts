// One 64 KiB block, repeated, so that both ends can compute the hash of any length without keeping it.
export const block = Uint8Array.from({ length: 65536 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
