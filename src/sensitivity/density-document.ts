/** Densities from a JSON file: sensitivity per weight, by tensor name or by class, fitted or probed elsewhere. */

import type { Analysis } from "../analyze/analysis.ts";
import { FormatError } from "../errors.ts";
import { fromDensity, type Sensitivity } from "./sensitivity.ts";

export const DENSITY_SCHEMA = "prism.sensitivity/1";

export interface DensityDocument {
  readonly schema: typeof DENSITY_SCHEMA;
  readonly version: string;
  readonly lossUnit: Sensitivity["lossUnit"];
  /** Above 0, by tensor name or by class; the name wins. */
  readonly densities: Readonly<Record<string, number>>;
  /** Layers of the model they were measured on: in one of other depth `blk.N` is another place, and the class counts. */
  readonly layers?: number;
  /** Header hash of the model whose head was measured alone. */
  readonly headMeasured?: string;
}

/** Read the text of a density file; `path` is for messages. Throws FormatError. */
export function parseDensities(path: string, text: string): DensityDocument {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(path, `expected JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const document = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<string, unknown>>;
  const { schema, version, lossUnit, densities } = document;
  if (schema !== DENSITY_SCHEMA) {
    throw new FormatError(path, `expected a document with schema "${DENSITY_SCHEMA}", got ${JSON.stringify(schema)}`);
  }
  if (typeof version !== "string") throw new FormatError(path, `expected version to be text, got ${typeof version}`);
  if (lossUnit !== "relative" && lossUnit !== "nats") {
    throw new FormatError(path, `expected lossUnit "relative" or "nats", got ${JSON.stringify(lossUnit)}`);
  }
  if (typeof densities !== "object" || densities === null || Array.isArray(densities)) {
    throw new FormatError(path, `expected densities to be an object of numbers, got ${JSON.stringify(densities)}`);
  }
  for (const [name, density] of Object.entries(densities)) {
    if (typeof density !== "number" || !(density > 0) || !Number.isFinite(density)) {
      throw new FormatError(path, `expected the density of "${name}" above 0, got ${JSON.stringify(density)}`);
    }
  }
  const { layers, headMeasured } = document;
  if (layers !== undefined && !(Number.isSafeInteger(layers) && (layers as number) >= 0)) {
    throw new FormatError(path, `expected layers to be a count, got ${JSON.stringify(layers)}`);
  }
  if (headMeasured !== undefined && typeof headMeasured !== "string") {
    throw new FormatError(path, `expected headMeasured to be a header hash, got ${JSON.stringify(headMeasured)}`);
  }
  return {
    schema,
    version,
    lossUnit,
    densities: densities as Record<string, number>,
    ...(layers === undefined ? {} : { layers: layers as number }),
    ...(headMeasured === undefined ? {} : { headMeasured }),
  };
}

/** Weigh every eligible tensor by its density. Throws FormatError where the document has none for a tensor. */
export function sensitivityFromDensities(analysis: Analysis, document: DensityDocument): Sensitivity {
  const densities = new Map(Object.entries(document.densities));
  const sameDepth = document.layers === undefined || document.layers === analysis.facts.layers;
  const values = fromDensity(analysis, (tensor) => {
    const own = sameDepth || tensor.layer === undefined ? densities.get(tensor.name) : undefined;
    const density = own ?? densities.get(tensor.class);
    if (density === undefined) {
      throw new FormatError(
        `densities ${document.version}`,
        `expected a density for tensor ${tensor.name} or its class ${tensor.class}, got none; add one of the two names`,
      );
    }
    return density;
  });
  return {
    mode: "densities",
    version: document.version,
    lossUnit: document.lossUnit,
    values,
    ...(document.headMeasured === analysis.model.headerHash ? { headMeasured: true } : {}),
  };
}
