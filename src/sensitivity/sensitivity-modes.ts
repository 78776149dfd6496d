/** Every sensitivity by name, and those that a file holds. */

import type { Analysis } from "../analyze/analysis.ts";
import { UsageError } from "../errors.ts";
import { parseDensities, sensitivityFromDensities } from "./density-document.ts";
import { prismSensitivity, type Sensitivity, type SensitivityMode, uniformSensitivity } from "./sensitivity.ts";
import { isPrior, parsePrior, priorSensitivity, sensitivityFromPrior } from "./sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "./sensitivity-stock.ts";

/** What is used where nothing is asked for. */
export const DEFAULT_SENSITIVITY = "auto";

/**
 * Weights from which the prior is trusted. The smallest model it was fitted to has 0.75e9, and it beats uniform on every
 * architecture left out of the fit (research/judge.ts); on two models of 1e7 it does not (research/ablation.ts).
 */
const PRIOR_FROM_ELEMENTS = 0.5e9;

interface NamedMode {
  readonly weigh: SensitivityMode;
  /** Beside its name where a person chooses. */
  readonly hint?: string;
}

const MODES: ReadonlyMap<string, NamedMode> = new Map<string, NamedMode>([
  ["auto", { weigh: autoSensitivity, hint: `blend from ${PRIOR_FROM_ELEMENTS / 1e9}e9 weights, else stock` }],
  ["uniform", { weigh: uniformSensitivity }],
  ["stock", { weigh: (analysis) => stockSensitivity(analysis) }],
  ["prior", { weigh: priorSensitivity }],
  ["blend", { weigh: (analysis) => blendSensitivity(analysis), hint: "of prior and stock" }],
  ["prism", { weigh: prismSensitivity }],
]);

/** The modes as a person is told of them: "auto (…), uniform, …". */
export const SENSITIVITY_CHOICES = [...MODES].map(([name, { hint }]) => (hint ? `${name} (${hint})` : name)).join(", ");

/** Weigh by prior and presets where the model is of a size the prior was validated on, else by the presets alone. */
export function autoSensitivity(analysis: Analysis): Sensitivity {
  return analysis.model.elements >= PRIOR_FROM_ELEMENTS ? blendSensitivity(analysis) : stockSensitivity(analysis);
}

/** Find the mode with this name. Throws UsageError with the known ones. */
export function parseSensitivity(mode: string): SensitivityMode {
  const found = MODES.get(mode);
  if (found === undefined) {
    throw new UsageError(
      `sensitivity: expected ${[...MODES.keys()].join(", ")}, or a JSON file of densities or a prior, got "${mode}"`,
    );
  }
  return found.weigh;
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
