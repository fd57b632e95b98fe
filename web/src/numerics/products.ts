/** The one kernel: a product of matrices in float64, in blocks of 4 x 2 whose sums stay in registers. */

/** Where the entries of a matrix lie: entry (i, j) is `data[start + i * row + j * column]`. */
export interface Matrix {
  data: Float64Array;
  start: number;
  row: number;
  column: number;
}

/** `c[i, j] = sum_k a[i, k] b[k, j]` for m rows, n columns and `inner` terms; c's columns lie side by side. */
export function multiply(m: number, n: number, inner: number, a: Matrix, b: Matrix, c: Matrix): void {
  const { data: A, row: ar, column: ac } = a;
  const { data: B, row: br, column: bc } = b;
  const C = c.data;
  const wide = n - (n % 2);
  const tall = m - (m % 4);
  for (let i = 0; i < tall; i += 4) {
    const a0 = a.start + i * ar;
    const a1 = a0 + ar;
    const a2 = a1 + ar;
    const a3 = a2 + ar;
    const out0 = c.start + i * c.row;
    const out1 = out0 + c.row;
    const out2 = out1 + c.row;
    const out3 = out2 + c.row;
    for (let j = 0; j < wide; j += 2) {
      let s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
      let at = 0;
      let bt = b.start + j * bc;
      for (let k = 0; k < inner; k++, at += ac, bt += br) {
        const x = B[bt];
        const y = B[bt + bc];
        const p0 = A[a0 + at];
        const p1 = A[a1 + at];
        const p2 = A[a2 + at];
        const p3 = A[a3 + at];
        s00 += p0 * x;
        s01 += p0 * y;
        s10 += p1 * x;
        s11 += p1 * y;
        s20 += p2 * x;
        s21 += p2 * y;
        s30 += p3 * x;
        s31 += p3 * y;
      }
      C[out0 + j] = s00;
      C[out0 + j + 1] = s01;
      C[out1 + j] = s10;
      C[out1 + j + 1] = s11;
      C[out2 + j] = s20;
      C[out2 + j + 1] = s21;
      C[out3 + j] = s30;
      C[out3 + j + 1] = s31;
    }
  }
  if (wide < n) strip(0, tall, wide, n, inner, a, b, c);
  if (tall < m) strip(tall, m, 0, n, inner, a, b, c);
}

/** What is left beside the blocks. */
function strip(
  i0: number, i1: number, j0: number, j1: number, inner: number, a: Matrix, b: Matrix, c: Matrix,
): void {
  for (let i = i0; i < i1; i++) {
    for (let j = j0; j < j1; j++) {
      let sum = 0;
      let at = a.start + i * a.row;
      let bt = b.start + j * b.column;
      for (let k = 0; k < inner; k++, at += a.column, bt += b.row) sum += a.data[at] * b.data[bt];
      c.data[c.start + i * c.row + j] = sum;
    }
  }
}
