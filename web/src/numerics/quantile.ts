/**
 * The inverse of the normal distribution function, made of + - x / sqrt and integer operations alone.
 *
 * No function of a maths library takes part, so every machine gives the bits of `initlab.draw`. Source: Wichura,
 * Algorithm AS 241, Applied Statistics 37 (1988), PPND16. Polynomials are evaluated in Estrin's order.
 */

const CENTRAL_ABOVE = [
  3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946,
  45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227,
];
const CENTRAL_BELOW = [
  1.0, 42.31333070160091, 687.1870074920579, 5394.196021424751,
  21213.794301586597, 39307.89580009271, 28729.085735721943, 5226.495278852854,
];
const NEAR_ABOVE = [
  1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
  1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
];
const NEAR_BELOW = [
  1.0, 2.053191626637759, 1.6763848301838038, 0.6897673349851,
  0.14810397642748008, 0.015198666563616457, 0.0005475938084995345, 1.0507500716444169e-09,
];
const FAR_ABOVE = [
  6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487,
  0.026532189526576124, 0.0012426609473880784, 2.7115555687434876e-05, 2.0103343992922881e-07,
];
const FAR_BELOW = [
  1.0, 0.599832206555888, 0.1369298809227358, 0.014875361290850615,
  0.0007868691311456133, 1.8463183175100548e-05, 1.421511758316446e-07, 2.0442631033899397e-15,
];
const LN_2_HIGH = 0.6931471803691238;
const LN_2_LOW = 1.9082149292705877e-10;
const SMALLEST_TAIL = 2 ** -54;
const ODD = [1, 1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13, 1 / 15];

const FLOAT = new Float64Array(1);
const WORDS = new Uint32Array(FLOAT.buffer);

/** The polynomial `a[0] + a[1] x + ... + a[7] x^7`, by halves. */
function estrin(x: number, a: readonly number[]): number {
  const x2 = x * x;
  const low = a[0] + a[1] * x + (a[2] + a[3] * x) * x2;
  const high = a[4] + a[5] * x + (a[6] + a[7] * x) * x2;
  return low + high * (x2 * x2);
}

/** `log(x)` of a normal float above 0: `e log 2 + 2 artanh((m - 1) / (m + 1))` for `x = 2^e m`, by Taylor's series. */
export function log(x: number): number {
  FLOAT[0] = x;
  const borrow = WORDS[0] < 0x667f3bcd ? 1 : 0;
  const e = (WORDS[1] - 0x3fe6a09e - borrow) >> 20;
  WORDS[1] -= e * 1048576;
  const f = FLOAT[0] - 1;
  const s = f / (2 + f);
  const z = s * s;
  const z4 = z * z * (z * z);
  const series = estrin(z, ODD) + (1 / 17 + (1 / 19) * z) * (z4 * z4);
  return e * LN_2_HIGH + (e * LN_2_LOW + (s + s) * series);
}

/** The standard normal's quantile of `1/2 + c`, for c in [-1/2, 1/2]. */
export function normalQuantile(c: number): number {
  const size = Math.abs(c);
  if (size <= 0.425) {
    const r = 0.180625 - c * c;
    return (c * estrin(r, CENTRAL_ABOVE)) / estrin(r, CENTRAL_BELOW);
  }
  const r = Math.sqrt(-log(Math.max(0.5 - size, SMALLEST_TAIL)));
  const far = r > 5;
  const t = r - (far ? 5 : 1.6);
  const value = far
    ? estrin(t, FAR_ABOVE) / estrin(t, FAR_BELOW)
    : estrin(t, NEAR_ABOVE) / estrin(t, NEAR_BELOW);
  return c < 0 ? -value : value;
}
