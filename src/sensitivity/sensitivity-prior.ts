/**
 * The fitted prior: how much a weight of each kind of tensor matters, learned from KL divergences measured on other
 * models. ln density = class + place + deviation of the architecture − sizeExponent · ln(elements / mean elements).
 * fit-prior.ts fits it; plans/sensitivity-prior.json is what research/fit-prior.ts found with it, and whose data it is.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { readDocument } from "../documents/read-document.ts";
import { headIsFamiliar } from "./head-known.ts";
import { MEASURED_MODEL } from "./measured-model.ts";
import { type PriorKind, priorKind } from "./prior-kind.ts";
import { fromDensity, importanceScale, type Sensitivity } from "./sensitivity.ts";

/** Each is left out once when more are added. */
export const MAX_MODELS = 200;

/** Effects on ln density. */
const EFFECTS = t.table(t.number());

export const PRIOR = defineDocument({
  id: "prism.prior/1",
  noun: "a sensitivity prior",
  remedy: "take plans/sensitivity-prior.json of the package, or make one with prism prior add",
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
    measured: t.optional(
      t.list(MEASURED_MODEL, {
        maxItems: MAX_MODELS,
        description: "What it was fitted to; prism prior add fits it anew, with more.",
      }),
    ),
  }),
});
export interface Prior extends t.Content<typeof PRIOR.schema> {}

/** What the fit finds. */
export type PriorFit = Pick<Prior, "sizeExponent" | "classes" | "roles" | "places" | "architectures">;

const BUILT_IN = new URL("../../plans/sensitivity-prior.json", import.meta.url);

/** The prior that comes with PRISM. */
export function builtInPrior(): Prior {
  const path = fileURLToPath(BUILT_IN);
  return parsePrior(path, readFileSync(path, "utf8"));
}

/** Weigh by the prior that comes with PRISM. */
export function priorSensitivity(analysis: Analysis): Sensitivity {
  return sensitivityFromPrior(analysis, builtInPrior());
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
  const eligible = tensors.filter((tensor) => tensor.eligible);
  const meanElements = eligible.reduce((sum, { elements }) => sum + elements, 0) / eligible.length;
  const density = (tensor: TensorAnalysis) =>
    Math.exp(predictLogDensity(prior, facts.arch, priorKind(tensor, facts), tensor.elements / meanElements)) *
    importanceScale(tensor);
  return {
    mode: "prior",
    version: prior.version,
    lossUnit: "relative",
    values: fromDensity(analysis, density),
    ...(headIsFamiliar(analysis, prior.measured ?? []) ? { headKnown: true } : {}),
  };
}

/** ln density of a kind of tensor as the prior has it, up to a level of the model; `size` in any unit. */
export function predictLogDensity(prior: PriorFit, arch: string, kind: PriorKind, size: number): number {
  const own = find(prior.architectures, arch) ?? {};
  const place = kind.place === undefined ? 0 : (find(prior.places, kind.place) ?? 0);
  const known = find(prior.classes, kind.class) ?? find(prior.roles, kind.role) ?? 0;
  return known + place + (find(own, kind.name) ?? 0) - prior.sizeExponent * Math.log(size);
}

/** Names come from files: "constructor" is no property of a table that lacks it. */
function find<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
