/** Densities from a JSON file: sensitivity per weight, by tensor name or by class, fitted or probed elsewhere. */
import { Type } from "@sinclair/typebox";
import type { Analysis } from "../analyze/analysis.ts";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { readDocument } from "../documents/read-document.ts";
import { FormatError } from "../errors.ts";
import { TENSOR_TYPE } from "../ggml/type-fields.ts";
import { headIsProbed } from "./head-known.ts";
import { fromDensity, type Sensitivity } from "./sensitivity.ts";

export const PROBED_CHUNK = t.object(
  {
    kld: t.nats("Nats, mean over its tokens; of a model that embeds the drift, 1 − cosine, over pieces of it."),
    se: t.given(t.amount(), { maximum: 100 }),
  },
  "One chunk of the text that probes are measured on.",
);
export interface ProbedChunk extends t.Content<typeof PROBED_CHUNK> {}

export const PROBE_MEASUREMENT = t.object(
  {
    group: t.text(),
    tensors: t.list(t.name()),
    type: t.given(
      TENSOR_TYPE,
      "Of each of these tensors, or of most where their rows don't fit it or a smaller type beats it.",
    ),
    kld: t.nats("Nats."),
    se: t.given(t.amount(), { maximum: 100 }),
    chunks: t.count(),
    perChunk: t.optional(
      t.list(PROBED_CHUNK, "In the order in which all probes take them, so that two are compared on the same chunks."),
    ),
  },
  "The KL divergence, or the drift of embeddings, that degrading some tensors, and nothing else, gives.",
);
export interface ProbeMeasurement extends t.Content<typeof PROBE_MEASUREMENT> {}

export const DECODED_BY = {
  devices: t.optional(t.list(t.prose(), "What the probes were decoded on.")),
  gpuLayers: t.optional(t.count("Layers that were on a GPU; absent: none.")),
};

export const DENSITIES = defineDocument({
  id: "prism.sensitivity/1",
  noun: "a file of densities",
  remedy: "see docs/documents.md, or probe the model again with prism run --refine",
  description: "Expected loss per weight and unit of D, by tensor name or by class, fitted or probed.",
  schema: t.object({
    schema: t.exactly("prism.sensitivity/1"),
    version: t.text(),
    lossUnit: t.oneOf(
      ["relative", "nats", "drift"],
      "nats if s·D estimates nats of KL divergence, drift if 1 − cosine of embeddings.",
    ),
    densities: t.table(
      Type.Number({ exclusiveMinimum: 0, maximum: 1e30 }),
      "Above 0, by tensor name or by class; the name wins.",
    ),
    layers: t.optional(
      t.count(
        "Layers of the model they were measured on: in one of other depth `blk.N` is another place, and the class counts.",
      ),
    ),
    headMeasured: t.optional(
      t.text("Header hash of the model whose head was measured alone, and against other tensors."),
    ),
    model: t.optional(t.object({ name: t.text(), arch: t.text(), headerHash: t.text() }, "That was probed.")),
    probes: t.optional(t.list(PROBE_MEASUREMENT, "What the densities were fitted to.")),
    ...DECODED_BY,
  }),
});
export interface DensityDocument extends t.Content<typeof DENSITIES.schema> {}

/** Read the text of a density file; `path` is for messages. Throws FormatError. */
export function parseDensities(path: string, text: string): DensityDocument {
  return readDocument(text, path, DENSITIES);
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
  const { probes } = document;
  // of a person's own densities nobody knows the probes
  const headMeasured =
    document.headMeasured === analysis.model.headerHash && (probes === undefined || headIsProbed(analysis, probes));
  return {
    mode: "densities",
    version: document.version,
    lossUnit: document.lossUnit,
    values,
    ...(headMeasured ? { headKnown: true } : {}),
  };
}
