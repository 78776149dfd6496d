/** A LoadedModel without an engine: a byte tokenizer, and scores a test chooses. */
import type { LoadedModel, TokenScores } from "../../src/engine/engine.ts";
import { scoredTokens } from "../../src/engine/logits-file.ts";

export interface FakeModel extends LoadedModel {
  readonly calls: string[];
}

export function fakeModel(
  options: { vocabSize?: number; nll?: number; kld?: (token: number) => number } = {},
): FakeModel {
  const { vocabSize = 256, nll: loss = 2, kld = () => 0.1 } = options;
  const calls: string[] = [];
  return {
    vocabSize,
    addBos: false,
    bos: 0,
    contextTrain: 512,
    joints: {},
    chunksPerBatch: 4,
    calls,
    tokenize: async (text) => Int32Array.from(new TextEncoder().encode(text)),
    detokenize: async (ids) => new TextDecoder().decode(Uint8Array.from(ids)),
    async sample({ sequences, length, seed }) {
      calls.push(`sample ${sequences}×${length}`);
      return Int32Array.from({ length: sequences * length }, (_, i) => (seed + i) % vocabSize);
    },
    importance: async () => new Map(),
    sampledImportance: async () => new Map(),
    collectInputs: async () => [],
    chooseCodes: async () => [],
    measureGains: async () => [],
    rewrite: async () => undefined,
    time: async ({ generated }) => ({ promptMs: 1, generated, generationMs: 1 }),
    pool: async (prompts) => prompts.map(() => Float32Array.of(1)),
    async score({ tokens, first, count, reference }): Promise<TokenScores> {
      calls.push(`score ${first}+${count}`);
      const rows = count * scoredTokens(tokens.context);
      const values = Float64Array.from({ length: rows }, (_, i) => kld(first * scoredTokens(tokens.context) + i));
      const nll = new Float64Array(rows).fill(loss);
      return reference === undefined
        ? { nll }
        : { nll, referenceNll: nll, kld: values, sameTop: new Uint8Array(rows).fill(1) };
    },
    async close() {
      calls.push("close");
    },
  };
}
