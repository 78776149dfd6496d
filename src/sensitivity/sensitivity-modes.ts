/** Every sensitivity by name, and those that a file holds. */

import type { Analysis } from "../analyze/analysis.ts";
import { UsageError } from "../errors.ts";
import { givesHiddenStates } from "../ggml/model-facts.ts";
import { parseDensities, sensitivityFromDensities } from "./density-document.ts";
import { prismSensitivity, type Sensitivity, type SensitivityMode, uniformSensitivity } from "./sensitivity.ts";
import { isPrior, type Prior, parsePrior, priorSensitivity, sensitivityFromPrior } from "./sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "./sensitivity-stock.ts";

/** What is used where nothing is asked for. */
export const DEFAULT_SENSITIVITY = "auto";

/**
 * Weights from which the prior is trusted. The smallest model it was fitted to has 0.75e9, and it beats uniform on every
 * architecture left out of the fit (research/judge.ts); on two models of 1e7 it does not (research/ablation.ts).
 */
const PRIOR_FROM_ELEMENTS = 0.5e9;

interface NamedMode {
  readonly weigh: (analysis: Analysis, prior?: Sensitivity) => Sensitivity;
  readonly takesPrior?: true;
  /** Beside its name where a person chooses. */
  readonly hint?: string;
}

const AUTO_HINT = `blend from ${PRIOR_FROM_ELEMENTS / 1e9}e9 weights, of models that embed or rank, or with --prior, else stock`;

const MODES: ReadonlyMap<string, NamedMode> = new Map<string, NamedMode>([
  ["auto", { weigh: autoSensitivity, takesPrior: true, hint: AUTO_HINT }],
  ["uniform", { weigh: uniformSensitivity }],
  ["stock", { weigh: (analysis) => stockSensitivity(analysis) }],
  ["prior", { weigh: (analysis, prior = priorSensitivity(analysis)) => prior, takesPrior: true }],
  ["blend", { weigh: blendSensitivity, takesPrior: true, hint: "of prior and stock" }],
  ["prism", { weigh: prismSensitivity }],
]);

/** The modes as a person is told of them: "auto (…), uniform, …". */
export const SENSITIVITY_CHOICES = [...MODES].map(([name, { hint }]) => (hint ? `${name} (${hint})` : name)).join(", ");

/**
 * Weigh by prior and presets where the model is of a size the prior was validated on, or gives hidden states (no preset was
 * made for those, and on two models of 2e7 and 1e8 both together are better or as good; docs/embeddings.md), else by the
 * presets alone. A prior that a person gave counts at any size.
 */
export function autoSensitivity(analysis: Analysis, prior?: Sensitivity): Sensitivity {
  const { facts, model } = analysis;
  const trusted = prior !== undefined || model.elements >= PRIOR_FROM_ELEMENTS || givesHiddenStates(facts);
  return trusted ? blendSensitivity(analysis, prior) : stockSensitivity(analysis);
}

/**
 * Find the mode with this name; `prior` in the place of the one that comes with PRISM. Throws UsageError with the known
 * ones, and for a prior that the mode does not go by.
 */
export function parseSensitivity(mode: string, prior?: Prior): SensitivityMode {
  const found = MODES.get(mode);
  if (found === undefined) {
    throw new UsageError(
      `sensitivity: expected ${[...MODES.keys()].join(", ")}, or a JSON file of densities or a prior, got "${mode}"`,
    );
  }
  if (prior === undefined) return (analysis) => found.weigh(analysis);
  if (!found.takesPrior) throw unusedPrior(mode);
  return (analysis) => found.weigh(analysis, sensitivityFromPrior(analysis, prior));
}

/** Of a prior where nothing goes by one. */
export function unusedPrior(mode: string): UsageError {
  const taking = [...MODES].filter(([, { takesPrior }]) => takesPrior).map(([name]) => name);
  return new UsageError(`--prior: --sensitivity ${mode} goes by no prior; leave one out, or take ${taking.join(", ")}`);
}

/** Read the text of a sensitivity file: densities, or a prior. `path` is for messages. Throws FormatError. */
export function parseSensitivityFile(path: string, text: string): SensitivityMode {
  if (isPrior(text)) {
    const prior = parsePrior(path, text);
    return (analysis) => sensitivityFromPrior(analysis, prior);
  }
  const densities = parseDensities(path, text);
  return (analysis) => sensitivityFromDensities(analysis, densities);
}
