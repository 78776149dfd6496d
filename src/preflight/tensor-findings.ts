/** Findings about the list of tensors: what the architecture requires and is not there, and what it does not know. */
import { tensorDifferences } from "../ggml/architecture-tensors.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";

/** Names in a message; more are counted. */
const NAMED_TENSORS = 6;

/** Compare a model's tensors with its architecture's; nothing where that has no table. */
export function tensorFindings(model: Model, facts: ModelFacts): Finding[] {
  const differences = modelDifferences(model, facts);
  if (differences === undefined) return [];
  const { missing, extra } = differences;
  return [
    ...(missing.length === 0
      ? []
      : [
          {
            code: "tensor-missing",
            severity: "error",
            message: `${model.arch} requires ${named(missing)}: llama.cpp refuses the file (missing tensor)`,
            remedy: "convert or download the model again; a repair can't make up weights",
          } as const,
        ]),
    ...(extra.length === 0
      ? []
      : [
          {
            code: "tensor-unknown",
            severity: "error",
            message: `${model.arch} has no ${named(extra)}: llama.cpp refuses the file (wrong number of tensors)`,
            remedy: "prism repair renames or drops them; or convert the model again",
          } as const,
        ]),
  ];
}

/** What of a model is missing or too much. The embedding has a finding of its own, and so have missing MTP layers. */
export function modelDifferences(model: Model, facts: ModelFacts) {
  const names = model.tensors.map(({ name }) => name);
  const layers = { count: Math.max(facts.layers, 1), nextn: facts.nextnLayers };
  const found = tensorDifferences(model.arch, names, layers);
  if (found === undefined) return undefined;
  // a rank head on an architecture without one is a finding of its own
  const extra = found.extra.filter((name) => !name.startsWith("cls."));
  return { missing: found.missing.filter((name) => name !== "token_embd.weight"), extra };
}

function named(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_TENSORS).join(", ");
  return names.length > NAMED_TENSORS ? `${shown} and ${names.length - NAMED_TENSORS} more` : shown;
}
