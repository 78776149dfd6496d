/**
 * Whether a plan whose loss is taken for additive can be bettered by swaps on its real KL divergence: the whole plan in
 * place, every half of a class (by depth) a step up or down its types, paired by chunk; then the best swaps of equal bytes
 * by what was measured, together, on other chunks; again while that is better by two standard errors.
 * `npx tsx research/plan-swaps.ts --text FILE --analysis FILE --imatrix FILE --table FILE --work DIR --budget IQ2_XXS MODEL`
 */
import { mkdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import type { TensorAnalysis } from "../src/analyze/analysis.ts";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import { chunkMeans, meanSe, pairedDifference } from "../src/evaluate/statistics.ts";
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import { bitsPerWeight, type TensorType } from "../src/ggml/tensor-types.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { openProbeSite } from "../src/probes/probe-site.ts";
import { readProbeText } from "../src/probes/probe-text.ts";
import { exhaustive, readTable, withSums } from "./probe-replay.ts";

/** Chunks that moves are measured on, and others that swaps are tried on. */
const CHUNKS = { moves: 24, trial: 48 } as const;
/** Deviation of a move's real effect from the additive one, as a part of that: measured ones are shrunk by it. */
const SURPRISE = 0.75;
const DEPTH_PARTS = 2;
const ROUNDS = 3;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string", default: "" },
    analysis: { type: "string", default: "" },
    imatrix: { type: "string", default: "" },
    table: { type: "string", default: "" },
    work: { type: "string", default: "" },
    budget: { type: "string", default: "IQ2_XXS" },
    context: { type: "string", default: "256" },
  },
});
const [path = ""] = positionals;
const { text, work } = values;
const context = Number(values.context);
await mkdir(work, { recursive: true });
const analysis = readAnalysis(await readFile(values.analysis, "utf8"), values.analysis);
const imatrix = await readImatrix(values.imatrix);
const sensitivity = exhaustive(analysis, withSums(analysis, await readTable(values.table)));
const bench = await openBench({ threads: 1, backend: "reference", cacheDir: join(work, "cache") });
const source = await openLocalModel(path);
const textChunks = CHUNKS.moves + CHUNKS.trial;
const site = await openProbeSite(
  source,
  {
    analysis,
    imatrix,
    context,
    scratch: join(work, "scratch"),
    textOf: (loaded) => readProbeText(loaded, source, { context, text, textChunks, trialChunks: 0 }, bench),
  },
  bench,
);
const reference = await site.refer(site.text.probes);

type Types = ReadonlyMap<string, TensorType>;
interface Move {
  readonly group: string;
  readonly types: Types;
  readonly bytes: number;
  readonly effect: number;
}

const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
const ladders = new Map(eligible.map((tensor) => [tensor.name, ladderOf(tensor)]));
const groups = groupTensors();
const fileType = parseFileType(values.budget) as FileType;
const plan = makePlan({ analysis, sensitivity, budget: { kind: "like", fileType, text: values.budget } });
const planned = new Map(plan.tensors.map(({ name, type }) => [name, type]));
let types: Types = new Map(eligible.map(({ name }) => [name, planned.get(name) ?? "F16"]));
const allowed = bytesOf(types);
let best = await score(types, CHUNKS.moves, textChunks);
console.log(
  `${basename(path)} at the bytes of ${values.budget}: additive plan ${shown(best)} on ${CHUNKS.trial} chunks`,
);
for (let round = 1; round <= ROUNDS; round++) {
  const swapped = chooseSwaps(await measureMoves());
  if (swapped.names.length === 0) {
    console.log(`round ${round}: no swap is expected to be better`);
    break;
  }
  const now = await score(swapped.types, CHUNKS.moves, textChunks);
  const { value, se } = pairedDifference(now, best);
  console.log(
    `round ${round}: ${swapped.names.join("; ")}: expected ${swapped.effect.toExponential(2)}, got ${value.toExponential(2)} ± ${se.toExponential(1)}`,
  );
  if (value > -2 * se) break;
  types = swapped.types;
  best = now;
}
await site.close();
await source.close();
await bench.close();

function shown(perChunk: readonly number[]): string {
  const { value, se } = meanSe(perChunk);
  return `${value.toPrecision(3)} ± ${se.toPrecision(1)}`;
}

function score(of: Types, first: number, end: number): Promise<number[]> {
  return site.degrade(of, async (model) => {
    const perChunk: number[] = [];
    for (let next = first; next < end; next++) {
      perChunk.push(...chunkMeans(await reference.measure(model, { first: next, count: 1 }), 1));
    }
    return perChunk;
  });
}

async function measureMoves(): Promise<Move[]> {
  const base = await score(types, 0, CHUNKS.moves);
  const moves: Move[] = [];
  const ratios: number[] = [];
  for (const [group, members] of groups) {
    for (const step of [1, -1]) {
      const moved = new Map(types);
      for (const tensor of members) moved.set(tensor.name, shift(tensor, step));
      const bytes = bytesOf(moved) - bytesOf(types);
      if (bytes === 0) continue;
      const { value, se } = pairedDifference(await score(moved, 0, CHUNKS.moves), base);
      const additive = members.reduce((sum, tensor) => sum + lossOf(tensor, moved) - lossOf(tensor, types), 0);
      ratios.push(value / additive);
      const prior = (SURPRISE * additive) ** 2;
      moves.push({ group, types: moved, bytes, effect: (value * prior + additive * se ** 2) / (prior + se ** 2) });
    }
  }
  const sorted = ratios.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]?.toFixed(2);
  console.log(`${ratios.length} moves, measured / additive: ${at(0.25)}, ${at(0.5)}, ${at(0.75)} (quartiles)`);
  return moves;
}

/** Ups that gain most for their bytes, each paid for by the downs that lose least. */
function chooseSwaps(moves: readonly Move[]): { types: Types; names: string[]; effect: number } {
  const perByte = ({ effect, bytes }: Move) => effect / Math.abs(bytes);
  const ups = moves.filter(({ bytes }) => bytes > 0).sort((a, b) => perByte(a) - perByte(b));
  const downs = moves.filter(({ bytes }) => bytes < 0).sort((a, b) => perByte(a) - perByte(b));
  const used = new Set<string>();
  const swapped = new Map(types);
  const names: string[] = [];
  let free = allowed - bytesOf(types);
  let effect = 0;
  for (const up of ups) {
    if (used.has(up.group)) continue;
    const paid: Move[] = [];
    let needed = up.bytes - free;
    for (const down of downs) {
      if (needed <= 0) break;
      if (used.has(down.group) || down.group === up.group || paid.some(({ group }) => group === down.group)) continue;
      paid.push(down);
      needed += down.bytes;
    }
    const change = paid.reduce((sum, down) => sum + down.effect, up.effect);
    if (needed > 0 || change >= 0) continue;
    for (const move of [up, ...paid]) {
      used.add(move.group);
      for (const { name } of groups.get(move.group) ?? []) swapped.set(name, move.types.get(name) as TensorType);
    }
    free = -needed;
    effect += change;
    names.push(`${up.group} up, ${paid.map(({ group }) => group).join(" and ")} down`);
  }
  return { types: swapped, names, effect };
}

function groupTensors(): Map<string, TensorAnalysis[]> {
  const found = new Map<string, TensorAnalysis[]>();
  for (const tensor of eligible) {
    const { layer, class: own, name } = tensor;
    const key = layer === undefined ? name : `${own} ${Math.floor((layer * DEPTH_PARTS) / analysis.facts.layers) + 1}`;
    found.set(key, [...(found.get(key) ?? []), tensor]);
  }
  return found;
}

/** The types on the lower convex hull of distortion over bits, smallest first. */
function ladderOf({ distortion = {} }: TensorAnalysis): TensorType[] {
  const points = (Object.entries(distortion) as [TensorType, { value: number }][])
    .map(([type, { value }]) => ({ type, bits: bitsPerWeight(type), value }))
    .sort((a, b) => a.bits - b.bits || a.value - b.value);
  const hull: typeof points = [];
  for (const point of points) {
    const last = hull.at(-1);
    if (last !== undefined && point.value >= last.value) continue;
    for (;;) {
      const [a, b] = hull.slice(-2);
      if (a === undefined || b === undefined) break;
      if ((b.value - a.value) / (b.bits - a.bits) < (point.value - b.value) / (point.bits - b.bits)) break;
      hull.pop();
    }
    hull.push(point);
  }
  return hull.map(({ type }) => type);
}

function shift({ name }: TensorAnalysis, step: number): TensorType {
  const ladder = ladders.get(name) ?? [];
  const bits = bitsPerWeight(types.get(name) ?? "F16");
  const at = ladder.findIndex((type) => bitsPerWeight(type) >= bits);
  return ladder[Math.max(0, Math.min(ladder.length - 1, at + step))] ?? "F16";
}

function lossOf({ name, distortion }: TensorAnalysis, of: Types): number {
  return (sensitivity.values.get(name) ?? 0) * (distortion?.[of.get(name) ?? "F16"]?.value ?? 0);
}

function bytesOf(of: Types): number {
  return eligible.reduce((sum, { name, elements }) => sum + (elements * bitsPerWeight(of.get(name) ?? "F16")) / 8, 0);
}
