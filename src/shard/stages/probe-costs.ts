/** What units of probes cost beside each other, in bytes of weights that tokens meet. */
import { tensorClass } from "../../ggml/tensor-class.ts";
import type { OpenModel } from "../../gguf/model.ts";
import { COSTS } from "../../probes/in-place-site.ts";

/** Tokens of the chunk that the costs of a site are counted in. */
const COUNTED_TOKENS = 512;

export interface UnitCosts {
  /** Decode so many tokens. */
  decode(tokens: number): number;
  /** Degrade a part of the weights, and put them back. */
  degrade(part: number): number;
}

export function unitCosts({ model, fileBytes }: Pick<OpenModel, "model" | "fileBytes">): UnitCosts {
  const { each, whole } = COSTS.processor;
  const perToken = bytesPerToken(model);
  return {
    decode: (tokens) => tokens * perToken,
    degrade: (part) => COUNTED_TOKENS * (each * perToken + whole * part * fileBytes),
  };
}

/** Of stacked experts a token meets those that it is routed to. */
function bytesPerToken({ tensors, metadata, arch }: OpenModel["model"]): number {
  const [used, all] = ["expert_used_count", "expert_count"].map((key) => Number(metadata.get(`${arch}.${key}`)));
  const share = used && all ? Math.min(1, used / all) : 1;
  return tensors.reduce((sum, { name, bytes }) => {
    return sum + bytes * (tensorClass(name).class.endsWith("_exps") ? share : 1);
  }, 0);
}
