/** Evaluation on a GPU and on the processor: speed, KL divergence of a quantized file, and of the backends themselves. */
import { join } from "node:path";
import { type EmbeddedEngine, openEmbeddedEngine } from "../src/engine/embedded.ts";
import type { EvaluationTokens, LoadedModel, TokenScores } from "../src/engine/engine.ts";
import { createLogitsFile } from "../src/engine/logits-file.ts";
import { concatScores, meanSe } from "../src/evaluate/statistics.ts";
import { ALL_LAYERS } from "../src/open-bench.ts";

export const CONTEXT = 256;
const PRESET = "Q4_K_M";

export interface Engines {
  readonly gpu: EmbeddedEngine;
  readonly processor: EmbeddedEngine;
  readonly threads: number;
}

export interface Place {
  readonly model: string;
  readonly folder: string;
  readonly engines: Engines;
}

/** Both engines, or why there is no GPU build to measure. */
export async function openEngines(threads: number): Promise<Engines | string> {
  const gpu = await openEmbeddedEngine({ threads, gpuLayers: ALL_LAYERS }).catch((error: Error) => error.message);
  if (typeof gpu === "string") return gpu;
  return { gpu, processor: await openEmbeddedEngine({ threads }), threads };
}

export const SIDES = ["processor", "gpu"] as const;

export const layersOf = (side: (typeof SIDES)[number]) => (side === "gpu" ? ALL_LAYERS : 0);

/** Text that the model writes on the processor. */
export async function sampleOnProcessor({ model, engines }: Place, chunks: number): Promise<EvaluationTokens> {
  const { processor, threads } = engines;
  const loaded = await processor.library.load({ model, context: CONTEXT, threads, gpuLayers: 0 });
  const ids = await loaded.sample({ sequences: chunks, length: CONTEXT, seed: 0 });
  await loaded.close();
  return { context: CONTEXT, chunks, ids };
}

export async function measureEvaluation(place: Place, chunks: number): Promise<Record<string, unknown>> {
  const { model, folder, engines } = place;
  const { threads, processor } = engines;
  const tokens = await sampleOnProcessor(place, chunks);
  const quantized = join(folder, `${PRESET}.gguf`);
  await processor.quantize({ source: model, output: quantized, fileType: PRESET, overrides: [], threads });
  const logitsOf = (side: string) => join(folder, `${side}.logits`);
  const sides = [];
  for (const side of SIDES) {
    const load = (path: string) =>
      engines[side].library.load({ model: path, context: CONTEXT, threads, gpuLayers: layersOf(side) });
    const reference = await load(model);
    await createLogitsFile(logitsOf(side), tokens, reference.vocabSize);
    await timedScore(reference, tokens, undefined);
    const f16 = await timedScore(reference, tokens, { writeLogits: logitsOf(side) });
    const away =
      side === "gpu"
        ? await timedScore(reference, tokens, { reference: { logits: logitsOf("processor") } })
        : undefined;
    await reference.close();
    const loaded = await load(quantized);
    await timedScore(loaded, tokens, undefined);
    const coded = await timedScore(loaded, tokens, { reference: { logits: logitsOf(side) } });
    await loaded.close();
    sides.push({
      device: engines[side].info.devices[0],
      f16TokensPerSecond: f16.tokensPerSecond,
      quantizedTokensPerSecond: coded.tokensPerSecond,
      kld: meanSe(coded.scores.kld ?? new Float64Array()),
      ...(away === undefined ? {} : { kldOfF16FromProcessor: meanSe(away.scores.kld ?? new Float64Array()) }),
    });
  }
  console.log(
    `evaluation, ${chunks} chunks of ${CONTEXT}\n\n| device | F16, tokens/s | ${PRESET}, tokens/s | KLD of ${PRESET} |`,
  );
  console.log("|---|---|---|---|");
  for (const { device, f16TokensPerSecond, quantizedTokensPerSecond, kld } of sides) {
    const speeds = [f16TokensPerSecond, quantizedTokensPerSecond].map((speed) => speed.toPrecision(3));
    console.log(`| ${[device, ...speeds, `${kld.value.toFixed(5)} ± ${kld.se.toFixed(5)}`].join(" | ")} |`);
  }
  const [first, second] = sides;
  const ratio = (second?.f16TokensPerSecond ?? 0) / (first?.f16TokensPerSecond ?? 1);
  const off = second?.kldOfF16FromProcessor;
  console.log(
    `\nF16 on the GPU: ${ratio.toPrecision(2)} times the processor's speed, KLD ${off?.value.toExponential(1)} from it\n`,
  );
  return { preset: PRESET, chunks, context: CONTEXT, sides, f16SpeedRatio: ratio };
}

/** The first call of a model compiles what it needs and is not counted: give it nothing to do with the scores. */
async function timedScore(
  loaded: LoadedModel,
  tokens: EvaluationTokens,
  how: { writeLogits: string } | { reference: { logits: string } } | undefined,
): Promise<{ scores: TokenScores; tokensPerSecond: number }> {
  const started = performance.now();
  const parts: TokenScores[] = [];
  const chunks = how === undefined ? 1 : tokens.chunks;
  for (let first = 0; first < chunks; first += loaded.chunksPerBatch) {
    const count = Math.min(loaded.chunksPerBatch, chunks - first);
    parts.push(await loaded.score({ tokens, first, count, ...how }));
  }
  const seconds = (performance.now() - started) / 1e3;
  return { scores: concatScores(parts), tokensPerSecond: (chunks * tokens.context) / seconds };
}
