/**
 * Tokens per second of models, as llama-bench measures them: a prompt of random tokens decoded in one batch, and random
 * tokens decoded one by one, each in an empty memory, after a warm-up. What else the machine does changes by the second,
 * so all files take their turns, round after round, and the error is that of a mean over rounds.
 */
import type { Bench } from "../bench.ts";
import * as t from "../documents/fields.ts";
import { type LoadedModel, requireLibrary } from "../engine/engine.ts";
import { meanSe } from "./statistics.ts";

export const SPEED = t.object(
  {
    prompt: t.measured(t.amount(), "Tokens per second of a prompt, decoded in one batch."),
    generation: t.measured(t.amount(), "Tokens per second, decoded one by one."),
    promptTokens: t.count("Of the prompt."),
    generatedTokens: t.count("Decoded one by one in a round, in the shortest."),
    rounds: t.count("The errors are between their means."),
    threads: t.count(),
    gpuLayers: t.optional(t.count("Layers that were on a GPU; absent: none.")),
    devices: t.optional(t.list(t.prose(), "What decoded.")),
  },
  "Measured as llama-bench does it, in turn with the other files.",
);
export interface Speed extends t.Content<typeof SPEED> {}

/** llama-bench's own pp512 and tg128. */
const MOST_TOKENS = { prompt: 512, generated: 128 } as const;
const LEAST_PROMPT = 32;

/** How files take turns. */
export interface Turns {
  readonly rounds: number;
  /** About what a prompt, or a generation, of a round may take. */
  readonly roundMs: number;
  /** Before and after each turn of the file of this number. */
  readonly ready?: (index: number) => Promise<void>;
  readonly done?: (index: number) => Promise<void>;
}

const TURNS: Turns = { rounds: 3, roundMs: 1500 };

/** Measure the speed of each file, in turn; in the order given. Throws EngineError where there are only programs. */
export async function measureSpeeds(
  paths: readonly string[],
  bench: Bench,
  { rounds, roundMs, ready, done }: Turns = TURNS,
): Promise<Speed[]> {
  const measured = paths.map((): Round[] => []);
  let prompt: number | undefined;
  for (let round = 0; round < rounds; round++) {
    for (const [index, path] of paths.entries()) {
      await ready?.(index);
      const loaded = await load(path, bench);
      try {
        prompt ??= await choosePrompt(loaded, roundMs, bench);
        measured[index]?.push(await timeRound(loaded, prompt, roundMs, bench));
        bench.progress.steps("timing", round * paths.length + index + 1, rounds * paths.length);
      } finally {
        await loaded.close();
      }
      await done?.(index);
    }
  }
  return measured.map((rounds) => speedOf(rounds, prompt ?? MOST_TOKENS.prompt, bench));
}

/** Of one file. */
interface Round {
  /** Tokens per second. */
  readonly prompt: number;
  readonly generation: number;
  readonly generatedTokens: number;
}

function load(path: string, { engine, threads, gpuLayers, signal }: Bench): Promise<LoadedModel> {
  return requireLibrary(engine).load({ model: path, context: MOST_TOKENS.prompt, threads, gpuLayers, signal });
}

/** Tokens of the prompts, the same for every file: as many as llama-bench takes, or as a round allows. */
async function choosePrompt(loaded: LoadedModel, roundMs: number, { seed, signal }: Bench): Promise<number> {
  const asked = { prompt: LEAST_PROMPT, generated: 1, mostMs: roundMs, seed, signal };
  await loaded.time(asked);
  const { promptMs } = await loaded.time(asked);
  const fitting = 2 ** Math.floor(Math.log2((roundMs * LEAST_PROMPT) / promptMs));
  return Math.min(MOST_TOKENS.prompt, Math.max(LEAST_PROMPT, fitting));
}

/** Tokens per second in one round, after a warm-up in which the weights are read. */
async function timeRound(loaded: LoadedModel, prompt: number, mostMs: number, { seed, signal }: Bench): Promise<Round> {
  const asked = { prompt, mostMs, seed, signal };
  await loaded.time({ ...asked, generated: 1 });
  const { promptMs, generated, generationMs } = await loaded.time({ ...asked, generated: MOST_TOKENS.generated });
  return {
    prompt: (1000 * prompt) / promptMs,
    generation: (1000 * generated) / generationMs,
    generatedTokens: generated,
  };
}

function speedOf(rounds: readonly Round[], promptTokens: number, { engine, threads, gpuLayers }: Bench): Speed {
  return {
    prompt: meanSe(rounds.map(({ prompt }) => prompt)),
    generation: meanSe(rounds.map(({ generation }) => generation)),
    promptTokens,
    generatedTokens: Math.min(...rounds.map(({ generatedTokens }) => generatedTokens)),
    rounds: rounds.length,
    threads,
    ...(gpuLayers > 0 ? { gpuLayers, devices: engine.info.devices } : {}),
  };
}
