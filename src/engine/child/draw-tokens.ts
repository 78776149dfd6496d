/** Draws a token from each of several rows of logits: on the threads of the native kernels, or one after another. */
import koffi from "koffi";
import { type NativeLibrary, STATUS } from "../../kernels/native-library.ts";
import { drawToken } from "./draw-token.ts";
import type { Pointer } from "./llama-library.ts";

/** Rows of `vocabSize` logits and a number in [0, 1) for each; see draw-token.ts for what comes back. */
export type TokenDrawer = (logits: Pointer, vocabSize: number, uniforms: Float64Array) => Int32Array;

export const drawTokens: TokenDrawer = (pointer, vocabSize, uniforms) => {
  const logits = new Float32Array(koffi.view(pointer, uniforms.length * vocabSize * Float32Array.BYTES_PER_ELEMENT));
  return Int32Array.from(uniforms, (u, row) => drawToken(logits.subarray(row * vocabSize, (row + 1) * vocabSize), u));
};

/** The same in C++. Throws an Error where memory is short. */
export function nativeTokenDrawer(native: NativeLibrary, threads: number): TokenDrawer {
  return (pointer, vocabSize, uniforms) => {
    const tokens = new Int32Array(uniforms.length);
    const status = native.drawTokens(pointer, uniforms.length, vocabSize, uniforms, threads, tokens);
    if (status !== STATUS.ok) throw new Error(`sampling ran out of memory (status ${status})`);
    return tokens;
  };
}
