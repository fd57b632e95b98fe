/** BLAKE2b without a key (RFC 7693), on pairs of 32-bit words: the low word of each 64-bit number stands first. */

const IV = new Uint32Array([
  0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a, 0xade682d1,
  0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
]);

const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
] as const;

const BLOCK = 128;

/** v[a] += v[b] + (high:low), modulo 2^64. */
function add(v: Uint32Array, a: number, b: number, low: number, high: number): void {
  const sum = v[a] + v[b] + low;
  v[a + 1] = v[a + 1] + v[b + 1] + high + Math.floor(sum / 4294967296);
  v[a] = sum;
}

/** v[d] = (v[d] xor v[a]) rotated right by the number of bits. */
function turn(v: Uint32Array, d: number, a: number, bits: 16 | 24 | 32 | 63): void {
  const low = v[d] ^ v[a];
  const high = v[d + 1] ^ v[a + 1];
  if (bits === 32) {
    v[d] = high;
    v[d + 1] = low;
  } else if (bits === 63) {
    v[d] = (low << 1) | (high >>> 31);
    v[d + 1] = (high << 1) | (low >>> 31);
  } else {
    v[d] = (low >>> bits) | (high << (32 - bits));
    v[d + 1] = (high >>> bits) | (low << (32 - bits));
  }
}

function mix(v: Uint32Array, m: Uint32Array, word: readonly [number, number, number, number], x: number, y: number): void {
  const [a, b, c, d] = word;
  add(v, a, b, m[2 * x], m[2 * x + 1]);
  turn(v, d, a, 32);
  add(v, c, d, 0, 0);
  turn(v, b, c, 24);
  add(v, a, b, m[2 * y], m[2 * y + 1]);
  turn(v, d, a, 16);
  add(v, c, d, 0, 0);
  turn(v, b, c, 63);
}

const COLUMNS = [0, 2, 4, 6].map((i) => [i, i + 8, i + 16, i + 24] as const);
const DIAGONALS = [0, 1, 2, 3].map(
  (i) => [2 * i, 8 + 2 * ((i + 1) % 4), 16 + 2 * ((i + 2) % 4), 24 + 2 * ((i + 3) % 4)] as const,
);

function compress(h: Uint32Array, block: Uint8Array, length: number, last: boolean): void {
  const m = new Uint32Array(32);
  for (let i = 0; i < 32; i++) {
    const at = 4 * i;
    m[i] = block[at] | (block[at + 1] << 8) | (block[at + 2] << 16) | (block[at + 3] << 24);
  }
  const v = new Uint32Array(32);
  v.set(h);
  v.set(IV, 16);
  v[24] ^= length;
  if (last) {
    v[28] = ~v[28];
    v[29] = ~v[29];
  }
  for (let round = 0; round < 12; round++) {
    const s = SIGMA[round % 10];
    COLUMNS.forEach((word, i) => mix(v, m, word, s[2 * i], s[2 * i + 1]));
    DIAGONALS.forEach((word, i) => mix(v, m, word, s[8 + 2 * i], s[9 + 2 * i]));
  }
  for (let i = 0; i < 16; i++) h[i] ^= v[i] ^ v[i + 16];
}

/** The digest of `size` bytes, 1 to 64, as little-endian 32-bit words. */
export function blake2b(message: Uint8Array, size: number): Uint32Array {
  const h = IV.slice();
  h[0] ^= 0x01010000 ^ size;
  const blocks = Math.max(Math.ceil(message.length / BLOCK), 1);
  for (let i = 0; i < blocks; i++) {
    const block = new Uint8Array(BLOCK);
    block.set(message.subarray(i * BLOCK, (i + 1) * BLOCK));
    const last = i === blocks - 1;
    compress(h, block, last ? message.length : (i + 1) * BLOCK, last);
  }
  return h.subarray(0, size / 4);
}
