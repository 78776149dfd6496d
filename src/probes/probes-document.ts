/** Probed densities as a file that `--sensitivity` takes, for this model at any budget and for its siblings. */

import type { Analysis } from "../analyze/analysis.ts";
import { baseName } from "../base-name.ts";
import type { DensityDocument } from "../sensitivity/density-document.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import type { Probed } from "./probed.ts";

export type ProbesDocument = DensityDocument & Required<Pick<DensityDocument, "model" | "probes">>;

/** Densities by tensor name, and of each class for models of other depth: the mean over its weights. */
export function probesDocument(analysis: Analysis, { sensitivity, measurements, headProbed }: Probed): ProbesDocument {
  const { path, name, arch, headerHash } = analysis.model;
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const classes = new Map<string, { loss: number; elements: number }>();
  for (const tensor of eligible) {
    const { loss, elements } = classes.get(tensor.class) ?? { loss: 0, elements: 0 };
    classes.set(tensor.class, {
      loss: loss + lossPerDistortion(sensitivity, tensor.name),
      elements: elements + tensor.elements,
    });
  }
  return {
    schema: "prism.sensitivity/1",
    version: sensitivity.version,
    lossUnit: sensitivity.lossUnit,
    layers: analysis.facts.layers,
    ...(headProbed ? { headMeasured: headerHash } : {}),
    densities: {
      ...Object.fromEntries([...classes].map(([of, { loss, elements }]) => [of, loss / elements])),
      ...Object.fromEntries(
        eligible.map((tensor) => [tensor.name, lossPerDistortion(sensitivity, tensor.name) / tensor.elements]),
      ),
    },
    model: { name: name ?? baseName(path), arch, headerHash },
    probes: measurements,
  };
}

function lossPerDistortion({ values }: Sensitivity, name: string): number {
  return values.get(name) ?? 0;
}
