/** The options of everything that evaluates: text, length, GPU, cache. */

import type { Command } from "commander";
import { Option } from "commander";
import { parseSize } from "../allocate/budget.ts";
import { defaultCacheDir } from "../disk/cache-dir.ts";
import { parseInteger } from "./options.ts";

export interface EvaluationCliOptions {
  readonly text?: string;
  readonly context?: number;
  readonly chunks?: number;
  readonly gpuLayers: number;
  readonly cacheLimit?: number;
  /** commander's name for --no-cache. */
  readonly cache: boolean;
}

/** Layers that mean "all of them" to llama.cpp. */
const ALL_LAYERS = 999;

export const contextOption = () =>
  new Option("--context <n>", "tokens per chunk; default 512, or the model's own if smaller").argParser((text) =>
    parseInteger("--context", text, 8, 2 ** 20),
  );

export const chunksOption = (description: string) =>
  new Option("--chunks <n>", description).argParser((text) => parseInteger("--chunks", text, 1, 1e6));

export const gpuLayersOption = () =>
  new Option("--gpu-layers <n>", "layers on the GPU, or all; needs a GPU build of the engine")
    .argParser((text) => (text === "all" ? ALL_LAYERS : parseInteger("--gpu-layers", text, 0, ALL_LAYERS)))
    .default(0);

export const cacheOption = () => new Option("--no-cache", "keep no sampled text and no logits");

export function addEvaluationOptions(command: Command): Command {
  return command
    .option("--text <file>", "text to judge on; default: sampled from the reference")
    .addOption(contextOption())
    .addOption(
      chunksOption("score this many, or as many as the text has; default: until SE(KLD) is 5 % of KLD, at least 20"),
    )
    .addOption(gpuLayersOption())
    .addOption(
      new Option(
        "--cache-limit <size>",
        "disk for the reference's logits; default 16GB; more is decoded again",
      ).argParser(parseSize),
    )
    .addOption(cacheOption());
}

/** What evaluate() and run() take of these. */
export function evaluationSettings(options: EvaluationCliOptions) {
  const { text, context, chunks, gpuLayers, cacheLimit, cache } = options;
  return {
    gpuLayers,
    ...(text === undefined ? {} : { text }),
    ...(context === undefined ? {} : { context }),
    ...(chunks === undefined ? {} : { chunks }),
    ...(cache ? { cacheDir: defaultCacheDir() } : {}),
    ...(cacheLimit === undefined ? {} : { cacheLimitBytes: cacheLimit }),
  };
}
