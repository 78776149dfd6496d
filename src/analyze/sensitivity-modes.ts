/** Every sensitivity by name, and those that a file holds. */
import { UsageError } from "../errors.ts";
import { parseDensities, sensitivityFromDensities } from "./density-document.ts";
import { prismSensitivity, type SensitivityMode, uniformSensitivity } from "./sensitivity.ts";
import { isPrior, parsePrior, priorSensitivity, sensitivityFromPrior } from "./sensitivity-prior.ts";

const MODES: ReadonlyMap<string, SensitivityMode> = new Map([
  ["uniform", uniformSensitivity],
  ["prior", priorSensitivity],
  ["prism", prismSensitivity],
]);

/** Find the mode with this name. Throws UsageError with the known ones. */
export function parseSensitivity(mode: string): SensitivityMode {
  const found = MODES.get(mode);
  if (found === undefined) {
    throw new UsageError(
      `sensitivity: expected ${[...MODES.keys()].join(", ")}, or a JSON file of densities or a prior, got "${mode}"`,
    );
  }
  return found;
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
