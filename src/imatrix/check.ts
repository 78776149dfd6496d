/** Whether an imatrix belongs to a model, with the rules of llama_model_quantize (src/llama-quant.cpp, v0.5.0). */
import { FormatError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import type { Model, TensorInfo } from "../gguf/model.ts";
import type { Imatrix } from "./imatrix.ts";

/** Tensors whose importance is left out where its length is wrong: old imatrix files always had it wrong for them. */
const MISMATCH_IGNORED: ReadonlySet<string> = new Set(["token_embd.weight", "per_layer_token_embd.weight"]);

/** Whether a matrix of PRISM's own may have values for a tensor: a product's weights, the head's (or what it is tied to) included. */
export function isCollected(name: string): boolean {
  return name.startsWith("blk.") || name === "output.weight" || name === "token_embd.weight";
}

/** Values a tensor's importance must have: ne0 for each of its matrices. */
export function importanceLength(shape: readonly number[]): number {
  return (shape[0] ?? 1) * (shape[2] ?? 1);
}

/**
 * Look up a tensor's importance. "missing" where the imatrix has none, "mismatch" where its length is wrong and
 * llama-quantize ignores that.
 */
export function importanceOf(
  imatrix: Pick<Imatrix, "importance">,
  tensor: Pick<TensorInfo, "name" | "shape">,
): Float32Array | "missing" | "mismatch" {
  const values = imatrix.importance.get(tensor.name);
  if (!values) return "missing";
  return values.length === importanceLength(tensor.shape) ? values : "mismatch";
}

/**
 * Check that an imatrix was made from this model. Throws FormatError where they have no tensor in common, or where a
 * length differs and llama-quantize would stop.
 */
export function checkImatrix(imatrix: Pick<Imatrix, "importance" | "path">, model: Model): void {
  const shared = model.tensors.filter(({ name }) => imatrix.importance.has(name));
  if (shared.length === 0) {
    const [example] = imatrix.importance.keys();
    throw new FormatError(
      imatrix.path,
      `imatrix of another model: none of its ${imatrix.importance.size} tensors (${example}, …) is in ${model.path}; make one from this model`,
    );
  }
  for (const tensor of shared) {
    if (ineligibleReason(tensor) !== undefined || MISMATCH_IGNORED.has(tensor.name)) continue;
    if (importanceOf(imatrix, tensor) === "mismatch") {
      throw new FormatError(
        imatrix.path,
        `imatrix of another model: ${tensor.name} has ${imatrix.importance.get(tensor.name)?.length} values, expected ${importanceLength(tensor.shape)} for ${model.path}; make one from this model`,
      );
    }
  }
}
