/** A model whose densities are known, and a site on which its probes cost nothing. */
import type { Analysis, TensorAnalysis } from "../../src/analyze/analysis.ts";
import type { LoadedModel } from "../../src/engine/engine.ts";
import type { ProbeSite } from "../../src/probes/probe-site.ts";
import type { ProbeStore } from "../../src/probes/probe-store.ts";
import { createNormal, createRandom, seedFromName } from "../../src/random.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";

const DISTORTION = { Q2_K: 0.08, Q3_K: 0.023, Q5_K: 0.0014 } as const;
const CHUNKS = 16;
const CLASSES: readonly (readonly [name: string, elements: number])[] = [
  ["attn_q", 4e6],
  ["attn_k", 1e6],
  ["attn_v", 1e6],
  ["attn_output", 4e6],
  ["ffn_gate", 12e6],
  ["ffn_up", 12e6],
  ["ffn_down", 12e6],
];

/** A llama of so many layers, with densities that a class, the depth and chance decide. */
export function syntheticModel(layers: number, seed: number) {
  const normal = createNormal(createRandom(seed));
  const distortion = Object.fromEntries(Object.entries(DISTORTION).map(([type, value]) => [type, { value }]));
  const tensor = (name: string, own: string, elements: number, layer?: number) =>
    ({ name, class: own, elements, layer, eligible: true, distortion }) as unknown as TensorAnalysis;
  const tensors = [
    tensor("token_embd.weight", "token_embd", 30e6),
    tensor("output.weight", "output", 30e6),
    ...CLASSES.flatMap(([own, elements]) =>
      Array.from({ length: layers }, (_, layer) => tensor(`blk.${layer}.${own}.weight`, own, elements, layer)),
    ),
  ];
  const ofClass = new Map<string, number>();
  for (const { class: own } of tensors) if (!ofClass.has(own)) ofClass.set(own, -20 + 1.2 * normal());
  const truth = new Map(
    tensors.map(({ name, class: own, layer = 0 }) => {
      const depth = layer / Math.max(1, layers - 1);
      return [name, (ofClass.get(own) ?? 0) + 1.5 * (depth - 0.5) ** 2 + 0.3 * normal()];
    }),
  );
  const facts = { arch: "llama", layers, nextnLayers: 0, tiedEmbeddings: false };
  const model = { path: "made-up.gguf", arch: "llama", headerHash: "made up" };
  const analysis = { facts, tensors, model } as unknown as Analysis;
  return { analysis, truth, prior: uniformSensitivity(analysis), site: syntheticSite(analysis, truth, seed) };
}

/** `level`: all KL divergences times this. */
export function syntheticSite(
  { tensors }: Analysis,
  truth: ReadonlyMap<string, number>,
  seed: number,
  level = 1,
): ProbeSite & { readonly asked: string[] } {
  const normal = (key: string) => createNormal(createRandom(seedFromName(key, seed)))();
  const elements = new Map(tensors.map((tensor) => [tensor.name, tensor.elements]));
  const tokens = { context: 2, chunks: CHUNKS, ids: new Int32Array() };
  const asked: string[] = [];
  return {
    asked,
    kind: "in-place",
    unit: "nats",
    costs: { first: 1, each: 0.05, whole: 3.3 },
    text: { probes: tokens, trial: tokens, source: "file" },
    refer: async () => ({
      isKept: true,
      measure: async (model, { first, count }) =>
        (await model.score({ tokens, first, count })).kld ?? new Float64Array(),
    }),
    degrade(types, score) {
      const key = [...types].join(" ");
      const sum = [...types].reduce((own, [name, type]) => {
        const damage = (elements.get(name) ?? 0) * DISTORTION[type as keyof typeof DISTORTION];
        return own + damage * Math.exp(truth.get(name) ?? 0);
      }, 0);
      const group = types.size > 1 ? 0.1 * normal(key) : 0;
      const scoreChunk: LoadedModel["score"] = async ({ first, count }) => {
        asked.push(`${key} ${first}+${count}`);
        const values = Float64Array.from({ length: count }, (_, i) => {
          const chunk = 0.2 * normal(`chunk ${first + i}`) + 0.15 * normal(`${first + i} ${key}`);
          return level * sum * Math.exp(group + chunk);
        });
        return { nll: values, kld: values };
      };
      return score({ chunksPerBatch: 1, score: scoreChunk } as LoadedModel);
    },
  };
}

export function emptyStore(): ProbeStore {
  const kept = new Map<string, Parameters<ProbeStore["add"]>[0]>();
  return {
    find: (tensors, type) => kept.get(`${type} ${tensors.join(" ")}`),
    add: async (one) => void kept.set(`${one.type} ${one.tensors.join(" ")}`, one),
  };
}
