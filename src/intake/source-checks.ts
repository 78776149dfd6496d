/** Which files can be quantized: refused here, in words, before llama.cpp fails on them. */
import type { Engine } from "../engine/engine.ts";
import { FormatError, UsageError } from "../errors.ts";
import { ARCHITECTURES } from "../ggml/architectures.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import type { Model } from "../gguf/model.ts";

/**
 * Throws FormatError for an architecture that the embedded llama.cpp does not know: it loads no such model. Programs of
 * another version may.
 */
export function checkArchitecture({ path, arch }: Pick<Model, "path" | "arch">, { info, programs }: Engine): void {
  if (programs !== undefined || ARCHITECTURES.has(arch)) return;
  throw new FormatError(
    path,
    `llama.cpp ${info.version} does not know the architecture ${JSON.stringify(arch)}; give a build that does with --llama-dir, or check general.architecture for a spelling mistake`,
  );
}

/** Characters of a header's SHA-256 that a message shows. */
const SHOWN_HASH = 12;

/** Throws FormatError where `model` is not the one with this header. */
export function checkHeader(model: Pick<Model, "path" | "headerHash">, expected: string | undefined): void {
  if (expected === undefined || model.headerHash === expected) return;
  throw new FormatError(
    model.path,
    `is not the model the plan was made for: its header is ${model.headerHash.slice(0, SHOWN_HASH)}…, the plan's ${expected.slice(0, SHOWN_HASH)}…; make a plan of this model, or name the right source with --source`,
  );
}

/**
 * Throws UsageError for a projector and, unless `allowRequantize`, for a source that is quantized already; tensors that
 * keep their type (`types`, where it is decided) are copied and may be. Throws FormatError where there is no tensor to
 * quantize.
 */
export function checkSource(
  { path, arch, tensors }: Pick<Model, "path" | "arch" | "tensors">,
  types: ReadonlyMap<string, TensorType> | undefined,
  allowRequantize: boolean,
): void {
  if (arch === "clip") {
    throw new UsageError(
      `${path} is a multimodal projector (architecture clip): it is copied beside the model, not quantized`,
    );
  }
  const eligible = tensors.filter((tensor) => ineligibleReason(tensor) === undefined);
  if (eligible.length === 0) throw new FormatError(path, "has no tensor that llama-quantize would quantize");
  const quantized = eligible.find(({ name, type }) => isQuantizedType(type) && types?.get(name) !== type);
  if (quantized === undefined || allowRequantize) return;
  throw new UsageError(
    `${path} is already quantized (${quantized.name} is ${quantized.type}); give the f16, bf16 or f32 file, or accept the double loss with --allow-requantize`,
  );
}

/** Throws UsageError for a projector, which predicts no tokens. */
export function refuseProjector({ arch, path }: Pick<Model, "path" | "arch">): void {
  if (arch !== "clip") return;
  throw new UsageError(
    `${path} is a multimodal projector (architecture clip), expected a language model; evaluate the one it belongs to`,
  );
}
