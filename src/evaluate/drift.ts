/**
 * 1 − cosine of two vectors, from the squared distance of both at length 1, which keeps its digits where they are close.
 * 0 … 2; NaN where one has no direction.
 */
export function drift(a: Float32Array, b: Float32Array): number {
  let [squares, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    squares += (x - y) ** 2;
    ofA += x * x;
    ofB += y * y;
  }
  const lengths = Math.sqrt(ofA * ofB);
  return (squares - (Math.sqrt(ofA) - Math.sqrt(ofB)) ** 2) / (2 * lengths);
}
