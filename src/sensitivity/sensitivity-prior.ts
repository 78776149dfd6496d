/**
 * The fitted prior: how much a weight of each kind of tensor matters, learned from KL divergences measured on other
 * models. ln density = class + place + deviation of the architecture − sizeExponent · ln(elements / mean elements).
 * research/fit-prior.ts fits it (research/prior-fit.ts); plans/sensitivity-prior.json is what it found, and whose data it is.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { readDocument } from "../documents/read-document.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { isHead, type TensorRole, tensorRole } from "../ggml/tensor-class.ts";
import { fromDensity, importanceScale, type Sensitivity } from "./sensitivity.ts";

/** Effects on ln density. */
const EFFECTS = t.table(t.number());

export const PRIOR = defineDocument({
  id: "prism.prior/1",
  noun: "a sensitivity prior",
  remedy: "take plans/sensitivity-prior.json of the package, or fit one anew",
  description:
    "How much a weight of each kind of tensor matters, learned from KL divergences measured on other models.",
  schema: t.object({
    schema: t.exactly("prism.prior/1"),
    version: t.text(),
    credit: t.optional(t.prose("Whose measurements these are, and their license.")),
    source: t.optional(t.object({ url: t.text(), commit: t.text(), models: t.list(t.text()) })),
    sizeExponent: t.number("Density falls with this power of a tensor's elements."),
    classes: t.given(EFFECTS, "ln density of a class beyond its size."),
    roles: t.given(
      EFFECTS,
      "The mean of the classes of a tensor role, for a class that is not above; without one, size alone counts.",
    ),
    places: t.given(EFFECTS, 'What the first or last layer adds, by "first ROLE" or "last ROLE".'),
    architectures: t.table(EFFECTS, "What is added in an architecture that was measured, by the name of the kind."),
  }),
});
export interface Prior extends t.Content<typeof PRIOR.schema> {}

/** What the prior goes by. */
export interface PriorKind {
  /** Class and place: `ffn_up`, `ffn_up in the last layer`. */
  readonly name: string;
  /** The tensor class; a token_embd that is the head as well is `token_embd (tied)`. */
  readonly class: string;
  readonly role: TensorRole;
  /** `first ffn`, `last experts`; absent between the ends. */
  readonly place?: string;
}

const BUILT_IN = new URL("../../plans/sensitivity-prior.json", import.meta.url);

/** Weigh by the prior that comes with PRISM. */
export function priorSensitivity(analysis: Analysis): Sensitivity {
  const path = fileURLToPath(BUILT_IN);
  return sensitivityFromPrior(analysis, parsePrior(path, readFileSync(path, "utf8")));
}

/** Whether a text is a prior rather than another document, sound or not. */
export function isPrior(text: string): boolean {
  return /"schema"\s*:\s*"prism\.prior\//.test(text);
}

/** Read the text of a prior; `path` is for messages. Throws FormatError. */
export function parsePrior(path: string, text: string): Prior {
  return readDocument(text, path, PRIOR);
}

/** Weigh every eligible tensor as a prior says. */
export function sensitivityFromPrior(analysis: Analysis, prior: Prior): Sensitivity {
  const { facts, tensors } = analysis;
  const own = find(prior.architectures, facts.arch) ?? {};
  const eligible = tensors.filter((tensor) => tensor.eligible);
  const meanElements = eligible.reduce((sum, { elements }) => sum + elements, 0) / eligible.length;
  const density = (tensor: TensorAnalysis) => {
    const kind = priorKind(tensor, facts);
    const place = kind.place === undefined ? 0 : (find(prior.places, kind.place) ?? 0);
    const known =
      (find(prior.classes, kind.class) ?? find(prior.roles, kind.role) ?? 0) + place + (find(own, kind.name) ?? 0);
    return Math.exp(known - prior.sizeExponent * Math.log(tensor.elements / meanElements)) * importanceScale(tensor);
  };
  return { mode: "prior", version: prior.version, lossUnit: "relative", values: fromDensity(analysis, density) };
}

/** Names come from files: "constructor" is no property of a table that lacks it. */
function find<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Say what the prior knows a tensor by. */
export function priorKind(
  { name, class: tensorClass, layer }: Pick<TensorAnalysis, "name" | "class" | "layer">,
  facts: Pick<ModelFacts, "hasOutput" | "layers" | "nextnLayers">,
): PriorKind {
  const role = tensorRole(name, facts);
  if (layer === undefined) {
    const named = tensorClass === "token_embd" && isHead(name, facts) ? "token_embd (tied)" : tensorClass;
    return { name: named, class: named, role };
  }
  const last = facts.layers - facts.nextnLayers - 1;
  const end = layer === 0 ? "first" : layer === last ? "last" : undefined;
  if (end === undefined) return { name: tensorClass, class: tensorClass, role };
  return { name: `${tensorClass} in the ${end} layer`, class: tensorClass, role, place: `${end} ${role}` };
}
