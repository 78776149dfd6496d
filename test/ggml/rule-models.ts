import type { ModelFacts } from "../../src/ggml/model-facts.ts";
import type { RuleTensor } from "../../src/ggml/stock-mix.ts";

/** Facts of a made-up llama of 8 layers; the parts a test is about are given. */
export function facts(parts: Partial<ModelFacts> = {}): ModelFacts {
  return {
    arch: "llama",
    layers: 8,
    nextnLayers: 0,
    heads: 4,
    kvHeads: 2,
    experts: 0,
    hasOutput: true,
    rankPooling: false,
    alignment: 32,
    vocabSize: 4096,
    contextTrain: 256,
    outputHeaderBytes: 1000,
    ...parts,
  };
}

export const f16 = (name: string, ...shape: number[]): RuleTensor => ({ name, shape, type: "F16" });
export const f32 = (name: string, ...shape: number[]): RuleTensor => ({ name, shape, type: "F32" });

/** The tensors of models/books-llama-8m-f16.gguf, or of its like with other sizes. */
export function denseTensors({ layers = 8, width = 256, hidden = 768, output = true } = {}): RuleTensor[] {
  const ends = [f16("token_embd.weight", width, 4096), f32("output_norm.weight", width)];
  if (output) ends.push(f16("output.weight", width, 4096));
  const blocks = Array.from({ length: layers }, (_, i) => [
    f32(`blk.${i}.attn_norm.weight`, width),
    f16(`blk.${i}.attn_q.weight`, width, width),
    f16(`blk.${i}.attn_k.weight`, width, width / 2),
    f16(`blk.${i}.attn_v.weight`, width, width / 2),
    f16(`blk.${i}.attn_output.weight`, width, width),
    f32(`blk.${i}.ffn_norm.weight`, width),
    f16(`blk.${i}.ffn_gate.weight`, width, hidden),
    f16(`blk.${i}.ffn_up.weight`, width, hidden),
    f16(`blk.${i}.ffn_down.weight`, hidden, width),
  ]);
  return [...ends, ...blocks.flat()];
}

/** A mixture-of-experts model: layer 0 is dense, the others have experts and a shared expert. */
export function expertTensors(layers: number, experts: number): RuleTensor[] {
  const tensors = denseTensors({ layers }).filter(({ name }) => name.startsWith("blk.0.") || !name.includes("ffn_"));
  for (let i = 1; i < layers; i++) {
    tensors.push(f32(`blk.${i}.ffn_gate_inp.weight`, 256, experts));
    for (const part of ["ffn_gate", "ffn_up", "ffn_down"]) {
      tensors.push(
        f16(`blk.${i}.${part}_exps.weight`, 256, 256, experts),
        f16(`blk.${i}.${part}_shexp.weight`, 256, 256),
      );
    }
  }
  return tensors;
}
