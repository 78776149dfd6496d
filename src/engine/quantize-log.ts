/**
 * What llama-quantize says it did: the per-tensor lines and totals of its log, the same from the library and the
 * program (src/llama-quant.cpp at v0.5.0).
 */

import type { TensorType } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import type { QuantizeOutcome } from "./engine.ts";

const TENSOR_LINE = /^\[\s*\d+\/\s*\d+\]\s+(\S|\S.*\S)\s+- \[.*?\], type =\s*(\w+),(.*)$/;

/**
 * Parse the log. `typeOf` maps ggml's type names; a line with an unknown one is left out, and the caller notices the
 * missing tensor.
 */
export function parseQuantizeLog(
  lines: readonly string[],
  typeOf: (name: string) => TensorType | undefined,
): QuantizeOutcome {
  const tensors: { name: string; type: TensorType }[] = [];
  let bpw: number | undefined;
  for (const line of lines) {
    const total = /quant size\s+=.*\(([\d.]+) BPW\)/.exec(line);
    if (total !== null) bpw = Number(total[1]);
    const match = TENSOR_LINE.exec(line);
    if (match === null) continue;
    const [, name = "", from = "", rest = ""] = match;
    const to = /converting to (\w+)|->.*\((\w+)\)/.exec(rest);
    const type = typeOf(to?.[1] ?? to?.[2] ?? from);
    if (type !== undefined) tensors.push({ name, type });
  }
  return { tensors, ...present({ bpw }) };
}
