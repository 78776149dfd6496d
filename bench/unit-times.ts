/**
 * What the units of a campaign cost on this machine, by type and size of tensor: processor seconds of an analysis on one
 * thread, sampled, with --exact and with --exact=distortion, of tensors of a model's own shapes with weights of
 * bench/generate-model.ts; of a chunk of a probe, by parameter and token; and what starting takes. Large tensors are
 * measured twice, cut to few matrices (or rows), and a line through both gives the whole. Used by bench/many-machines.ts.
 */
import { spawnSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type AnalyzeRequest, analyze } from "../src/analyze/analyze.ts";
import type { Bench } from "../src/bench.ts";
import { ineligibleReason } from "../src/ggml/eligibility.ts";
import { elementCount } from "../src/ggml/tensor-types.ts";
import type { OpenModel } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import type { Architecture, ArchitectureTensor } from "../test/fixtures/architectures.ts";
import { generateTensors } from "./generate-model.ts";
import { processorSeconds } from "./processor-time.ts";

export const MODES = {
  sampled: {},
  exact: { exactMetrics: true },
  distortion: { exactMetrics: true, exactDistortion: true },
} as const satisfies Record<string, AnalyzeRequest>;

export type Mode = keyof typeof MODES;

export interface UnitTime {
  readonly seconds: number;
  readonly bytes: number;
}

/** Matrices of a stack, and rows of a matrix of tokens, that a large tensor is cut to. */
const CUTS = [
  { matrices: 4, rows: 1 << 13 },
  { matrices: 16, rows: 1 << 15 },
] as const;
/** Quantizing every weight in every type costs the same for each row: a few show it. */
const DISTORTION_WEIGHTS = 1 << 20;
const MAIN = join(import.meta.dirname, "../dist/cli/main.js");

/** Tensors of one shape and class cost the same. */
export function kindOf({ name, shape, type }: ArchitectureTensor): string {
  return `${name.replace(/^blk\.\d+\./, "")} ${shape.join("x")} ${type}`;
}

/** Measure a tensor of each kind that is quantized; the result is of whole tensors, by kind. */
export async function measureKinds(
  { keyValues, tensors }: Pick<Architecture, "keyValues" | "tensors">,
  folder: string,
): Promise<Map<string, Record<Mode, UnitTime>>> {
  const eligible = tensors.filter((tensor) => ineligibleReason(tensor) === undefined);
  const kinds = [...new Map(eligible.map((tensor) => [kindOf(tensor), tensor])).values()];
  const bench = await openBench({ threads: 1, backend: "native" });
  try {
    const cut = (to: (shape: readonly number[]) => readonly number[], modes: readonly Mode[]) =>
      measureCut(kinds, to, modes, { keyValues, path: join(folder, "cut.gguf") }, bench);
    const [few, more] = [
      await cut((shape) => cutShape(shape, CUTS[0]), ["sampled", "exact"]),
      await cut((shape) => cutShape(shape, CUTS[1]), ["sampled", "exact"]),
    ];
    const rows = await cut(fewRows, ["distortion"]);
    return new Map(
      kinds.map((tensor, index) => {
        const whole = elementCount(tensor.shape);
        const [a, b] = [few[index] as Cut, more[index] as Cut];
        const exact = { seconds: throughBoth(a, b, "exact", "seconds", whole), bytes: 2 * whole };
        const row = rows[index] as Cut;
        const distortion = exact.seconds + (timeOf(row, "distortion").seconds / row.elements) * whole;
        const sampled = {
          seconds: throughBoth(a, b, "sampled", "seconds", whole),
          bytes: throughBoth(a, b, "sampled", "bytes", whole),
        };
        return [kindOf(tensor), { sampled, exact, distortion: { seconds: distortion, bytes: 2 * whole } }];
      }),
    );
  } finally {
    await bench.close();
  }
}

interface Cut {
  readonly elements: number;
  readonly times: ReadonlyMap<Mode, UnitTime>;
}

function cutShape([columns = 1, rows = 1, ...stack]: readonly number[], cut: (typeof CUTS)[number]): number[] {
  return stack.length > 0
    ? [columns, rows, Math.min(cut.matrices, stack[0] ?? 1)]
    : [columns, rows > CUTS[1].rows ? cut.rows : rows];
}

function fewRows([columns = 1, rows = 1]: readonly number[]): number[] {
  return [columns, Math.min(rows, Math.ceil(DISTORTION_WEIGHTS / columns))];
}

async function measureCut(
  kinds: readonly ArchitectureTensor[],
  to: (shape: readonly number[]) => readonly number[],
  modes: readonly Mode[],
  { keyValues, path }: { keyValues: Architecture["keyValues"]; path: string },
  bench: Bench,
): Promise<Cut[]> {
  const tensors = kinds.map((tensor, index) => ({
    ...tensor,
    name: tensor.name.replace(/^blk\.\d+\./, `blk.${index}.`),
    shape: to(tensor.shape),
  }));
  await generateTensors(path, { keyValues, tensors }, "BF16", 1);
  const file = await openLocalModel(path);
  const cuts: Cut[] = [];
  try {
    for (const tensor of file.model.tensors) {
      const part: OpenModel = {
        ...file,
        model: { ...file.model, tensors: [tensor] },
        facts: file.facts,
        read: (...range) => file.read(...range),
        change: () => file.change(),
      };
      const times = new Map<Mode, UnitTime>();
      for (const mode of modes) times.set(mode, await timed(part, MODES[mode], bench));
      console.error(
        `${tensor.name} ${tensor.shape.join("x")}: ${[...times].map(([mode, { seconds }]) => `${mode} ${seconds.toFixed(2)} s`).join(", ")}`,
      );
      cuts.push({ elements: tensor.elements, times });
    }
  } finally {
    await file.close();
    await rm(path);
  }
  return cuts;
}

async function timed(part: OpenModel, request: AnalyzeRequest, bench: Bench): Promise<UnitTime> {
  const before = processorSeconds();
  const analysis = await analyze(part, request, bench);
  const after = processorSeconds();
  if (before === undefined || after === undefined)
    throw new Error("processor time is read from /proc, which is not here");
  return { seconds: after - before, bytes: analysis.sampling.bytesRead };
}

function timeOf(cut: Cut, mode: Mode): UnitTime {
  return cut.times.get(mode) as UnitTime;
}

/** The line through two sizes at `whole` weights; what shrank with the size was noise. */
function throughBoth(a: Cut, b: Cut, mode: Mode, field: keyof UnitTime, whole: number): number {
  const [low, high] = [timeOf(a, mode)[field], timeOf(b, mode)[field]];
  const slope = b.elements === a.elements ? 0 : Math.max(0, (high - low) / (b.elements - a.elements));
  return high + slope * (whole - b.elements);
}

/** Seconds of a worker that finds its units done, and of a chunk of a probe by active parameter and token; least of three. */
export async function measureProcess(
  model: string,
  text: string,
  folder: string,
): Promise<{ startSeconds: number; chunkSeconds: number }> {
  const campaign = join(folder, "campaign");
  clock(1, ["shard", "plan", model, "--dir", campaign, "--jobs", "1"]);
  clock(1, ["shard", "run", campaign]);
  const startSeconds = clock(3, ["shard", "run", campaign, "--index", "0", "--threads", "1"]);
  const context = 256;
  const [few, many] = [8, 40];
  const evaluate = (chunks: number) => {
    const size = ["--context", String(context), "--chunks", String(chunks), "--threads", "1", "--no-cache"];
    return clock(3, ["evaluate", model, "--reference", model, "--text", text, ...size, "--json"]);
  };
  // the reference's pass and the model's, in each
  const perPass = (evaluate(many) - evaluate(few)) / (many - few) / 2;
  const file = await openLocalModel(model);
  const parameters = file.model.tensors.reduce((sum, { elements }) => sum + elements, 0);
  await file.close();
  return { startSeconds, chunkSeconds: perPass / context / parameters };
}

function clock(times: number, options: readonly string[]): number {
  const runs = Array.from({ length: times }, () => {
    const started = performance.now();
    const run = spawnSync(process.execPath, [MAIN, ...options], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(`prism ${options.join(" ")} ended with ${run.status}: ${run.stderr}`);
    return (performance.now() - started) / 1e3;
  });
  return Math.min(...runs);
}
