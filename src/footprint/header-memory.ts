/** A model's header → what its memory is computed from. */
import { type HeaderSubject, headerOf } from "../loaders/header-of.ts";
import type { Hyperparameters } from "../loaders/hyperparameters.ts";
import { runLoader } from "../loaders/run-loader.ts";

export interface HeaderMemory {
  readonly arch: string;
  /** As llama.cpp holds them once the model is loaded. */
  readonly h: Hyperparameters;
  /** Tokens of the vocabulary. */
  readonly vocab: number;
  /** Tensors that are in the file and not loaded: those of MTP layers. */
  readonly unused: ReadonlySet<string>;
}

/** Read a header; a text where llama.cpp would not load the model, or its table does not tell: why. */
export function readHeaderMemory(subject: HeaderSubject): HeaderMemory | string {
  const shapes = new Map(subject.tensors.map(({ name, shape }) => [name, shape]));
  const header = headerOf(subject, shapes);
  const report = runLoader(header);
  if (report === undefined) return `llama.cpp has no architecture ${subject.arch || "without a name"}`;
  const { complete, refusal, keys, hyperparameters, tensors } = report;
  if (complete) {
    const unused = new Set(tensors.filter((tensor) => tensor.unused).map(({ name }) => name));
    return { arch: subject.arch, h: hyperparameters, vocab: header.tokens, unused };
  }
  return refusal ?? `its header lacks ${keys.map(({ key }) => key).join(", ")}`;
}

/** Tokens of one sequence that the header says the model was trained on. */
export function trainedContext({ h }: Pick<HeaderMemory, "h">): number | undefined {
  const trained = h.number("n_ctx_train");
  return trained > 0 ? trained : undefined;
}
