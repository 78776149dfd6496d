/** What a run was asked, as a document: a directory is resumed only with what would give the same result. */
import { createHash } from "node:crypto";
import { describeConstraint } from "../allocate/patterns.ts";
import type { Bench } from "../bench.ts";
import { FormatError, UsageError } from "../errors.ts";
import { readTextBytes } from "../evaluate/text.ts";
import { OWN_TEXT } from "../feedback/calibration-text.ts";
import { describeKv } from "../footprint/context-size.ts";
import { readImatrix } from "../imatrix/imatrix.ts";
import type { BudgetRequest } from "../plan/budget.ts";
import { YIELDING } from "../plan/guards.ts";
import { present } from "../present.ts";
import { readRerankSet } from "../rerank/rerank-set.ts";
import { PRISM_VERSION } from "../version.ts";
import type { RunAsked } from "./asked-document.ts";
import { describeRival, type Rival } from "./rivals.ts";
import type { MadeImatrix } from "./run-imatrix.ts";
import { type CompleteRunRequest, imatrixFile } from "./run-request.ts";
import { textOf } from "./search-target.ts";

/** Describe the request. */
export async function describeAsked(
  model: string,
  request: CompleteRunRequest,
  { fingerprint, imatrix, feedback, rivals = [] }: AskedOf,
  bench: Bench,
): Promise<RunAsked> {
  const { engine, seed, gpuLayers } = bench;
  const { sweep, family, guards, refine, swaps, probeGuard, text, rerankSet, reading, embedding } = request;
  return present({
    model,
    fingerprint,
    budget: describeSize(request),
    sweep: sweep?.map(describeBudget),
    family: family ? true : undefined,
    mode: request.mode,
    constraints: request.constraints.map(describeConstraint),
    guards: YIELDING.filter((guard) => guards[guard] !== false),
    types: request.types,
    sensitivity: request.sensitivity.name,
    refine: refine === "none" ? undefined : describeRefine(refine),
    swaps: swaps === "auto" ? undefined : swaps,
    probeGuard,
    imatrix,
    feedback: feedback ? await describeCalibration(request.calibration) : undefined,
    baselines: [
      ...request.baselines,
      ...request.templates.map(({ label, sha256 }) => `${label} (SHA-256 ${sha256})`),
      ...rivals.map(describeRival),
    ],
    text: text === undefined ? "sampled" : await sha256OfText(text),
    rerankSet: rerankSet === undefined ? undefined : (await readRerankSet(rerankSet)).sha256,
    reading: reading === undefined ? undefined : JSON.stringify(reading),
    retrieval: embedding === undefined ? undefined : await describeEmbedding(embedding),
    context: request.context,
    chunks: request.chunks,
    kinds: request.kinds && (await describeKinds(request.kinds)),
    kv: request.kv && describeKv(request.kv),
    seed,
    exactMetrics: request.exactMetrics,
    exactDistortion: request.exactDistortion,
    gpuLayers,
    devices: devicesAsked(bench),
    engine: `${engine.info.kind} ${engine.info.version}`,
    prismVersion: PRISM_VERSION,
  });
}

/** What decodes, where a GPU does: another one rounds in another way. */
export function devicesAsked({ engine: { info } }: Pick<Bench, "engine">): readonly string[] | undefined {
  return info.gpus === undefined ? undefined : info.devices;
}

/** What the request means for a model. */
interface AskedOf {
  readonly fingerprint: string;
  /** What stands for the importance matrix. */
  readonly imatrix: string | undefined;
  /** Codes are chosen with error feedback. */
  readonly feedback: boolean;
  readonly rivals?: readonly Pick<Rival, "label" | "identity">[];
}

async function describeCalibration(texts: readonly string[]): Promise<string> {
  if (texts.length === 0) return OWN_TEXT;
  const words: string[] = [];
  for (const text of texts) words.push(text === OWN_TEXT ? text : await sha256OfText(text, "--calibration"));
  return words.join(" ");
}

async function describeKinds(kinds: readonly string[] | true): Promise<string> {
  if (kinds === true) return "shipped";
  return (await Promise.all(kinds.map((path) => sha256OfText(path, "--kinds")))).join(" ");
}

async function describeEmbedding({ set, ...how }: NonNullable<CompleteRunRequest["embedding"]>): Promise<string> {
  return JSON.stringify({ ...how, set: set === undefined ? undefined : (await readRerankSet(set)).sha256 });
}

function describeRefine({ probes, timeMs }: Exclude<CompleteRunRequest["refine"], "none">): string {
  const time = timeMs === undefined ? undefined : `${timeMs / 1000} s`;
  return [probes, time].filter((part) => part !== undefined).join(" in ") || "auto";
}

/** Where the size comes from: a sweep decides it unless it is given, a quality always. */
function describeSize({ target, sweep = [], family, budget, budgetGiven }: CompleteRunRequest): string {
  if (target !== undefined) return textOf(target);
  if (sweep.length === 0 || budgetGiven) return describeBudget(budget);
  return `the knee of the ${family ? "family" : "sweep"}, or ${describeBudget(budget)}`;
}

function describeBudget(budget: BudgetRequest): string {
  if (budget.kind === "like") return `--like ${budget.fileType}`;
  if (budget.kind === "bpw") return `--bpw ${budget.value}`;
  return budget.memory === undefined ? `--size ${budget.value}` : `${budget.text}: ${budget.value} bytes`;
}

/** Throws FormatError where a file that was asked with, and read in more than one stage, is another by now. */
export async function requireSameInputs(request: CompleteRunRequest, asked: RunAsked): Promise<void> {
  const { text, rerankSet, embedding, calibration, kinds = [] } = request;
  const ofKinds = asked.kinds?.split(" ") ?? [];
  const calibrated = asked.feedback?.split(" ") ?? [];
  const inputs: readonly (readonly [path: string | undefined, before: string | undefined, now: HashOf])[] = [
    [text, asked.text, sha256OfText],
    [rerankSet, asked.rerankSet, async (path) => (await readRerankSet(path)).sha256],
    [embedding?.set, asked.retrieval, () => describeEmbedding(embedding ?? {})],
    ...(kinds === true ? [] : kinds).map((path, at) => [path, ofKinds[at], sha256OfText] as const),
    [imatrixFile(request), asked.imatrix, async (path) => (await readImatrix(path)).sha256],
    ...(asked.feedback === undefined ? [] : calibration).map(
      (path, at) => [path === OWN_TEXT ? undefined : path, calibrated[at], sha256OfText] as const,
    ),
  ];
  for (const [path, before, now] of inputs) {
    if (path === undefined || before === (await now(path))) continue;
    throw new FormatError(
      path,
      "was changed while the run read it, and the result would be of both contents; put it back and give the same command again, or begin anew with --force",
    );
  }
}

type HashOf = (path: string) => Promise<string>;

async function sha256OfText(path: string, option = "--text"): Promise<string> {
  const bytes = await readTextBytes(path);
  if (bytes.length === 0) throw new UsageError(`${option} ${path}: the file is empty; give a text of some pages`);
  return createHash("sha256").update(bytes).digest("hex");
}

/** What the analysis depends on; where the model lies now does not matter. */
const OF_ANALYSIS: readonly (keyof RunAsked)[] = [
  "fingerprint",
  "imatrix",
  "feedback",
  "types",
  "seed",
  "exactMetrics",
  "exactDistortion",
  "engine",
  "prismVersion",
];
/** What anything that was decoded depends on. */
const OF_DECODING: readonly (keyof RunAsked)[] = ["gpuLayers", "devices"];
/** What stands for an importance matrix that the run makes. */
const MADE_IMATRICES: readonly MadeImatrix[] = ["sampled", "shipped"];
/** What measured points of a sweep or a search depend on besides. */
const OF_POINTS: readonly (keyof RunAsked)[] = [
  "mode",
  "constraints",
  "guards",
  "sensitivity",
  "refine",
  "probeGuard",
  "text",
  "context",
  "chunks",
  "kinds",
  "kv",
  ...OF_DECODING,
];
/** What the files of a family depend on besides. */
const OF_FAMILY: readonly (keyof RunAsked)[] = ["family", "sweep"];
/** What the plan and its controls depend on besides. */
const OF_ROWS: readonly (keyof RunAsked)[] = [
  ...(["budget", ...OF_FAMILY, ...OF_POINTS, "swaps", "baselines", "rerankSet", "reading", "retrieval"] as const),
];

/** How a message speaks of what was asked. */
const WORDS: Readonly<Partial<Record<keyof RunAsked, string>>> = {
  fingerprint: "the model",
  imatrix: "--imatrix",
  seed: "--seed",
  exactMetrics: "--exact",
  exactDistortion: "--exact=distortion",
  engine: "the engine",
  prismVersion: "the version of prism",
  budget: "the budget",
  sweep: "the list of sizes",
  family: "a family (--budgets, --sizes)",
  mode: "--mode",
  constraints: "the constraints",
  guards: "the guards",
  types: "--types",
  sensitivity: "--sensitivity",
  refine: "--refine",
  swaps: "--swaps",
  probeGuard: "--probe-guard",
  feedback: "--feedback",
  baselines: "--baseline",
  text: "--text",
  kinds: "--kinds",
  kv: "--kv",
  rerankSet: "--rerank",
  reading: "--yes, --no, --parse-special or --pairs",
  retrieval: "--retrieval, --pooling or a prefix",
  context: "--context",
  chunks: "--chunks",
  gpuLayers: "--gpu-layers",
  devices: "the device",
};

/** What of a run is finished, besides its analysis. */
export type Finished = "analysis" | "points" | "rows";

const BESIDES: Readonly<Record<Finished, readonly (keyof RunAsked)[]>> = {
  analysis: [],
  points: OF_POINTS,
  rows: OF_ROWS,
};

/** The first thing that makes the finished work that of another request. */
export function firstDifference(before: RunAsked, now: RunAsked, finished: Finished): string | undefined {
  // what feedback leaves is measured on inputs of texts of this length
  const ofGains: readonly (keyof RunAsked)[] = now.feedback === undefined ? [] : ["context", ...OF_DECODING];
  const ofImatrix = MADE_IMATRICES.some((made) => made === now.imatrix) ? OF_DECODING : [];
  const ofFamily = finished === "points" && (before.family ?? now.family) ? OF_FAMILY : [];
  const key = [...OF_ANALYSIS, ...ofGains, ...ofImatrix, ...BESIDES[finished], ...ofFamily].find(
    (name) => !same(before[name], now[name]),
  );
  if (key === undefined) return undefined;
  return `${WORDS[key] ?? key} was ${inWords(before[key])}, now ${inWords(now[key])}`;
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Hexadecimal digits of a SHA-256 that a message shows. */
const SHOWN_HASH = 12;

function inWords(value: RunAsked[keyof RunAsked]): string {
  if (value === true) return "given";
  if (value === undefined || value === false) return "not given";
  if (Array.isArray(value)) return value.length === 0 ? "not given" : value.map(inWords).join(", ");
  const text = String(value);
  if (/^[0-9a-f]{64}$/.test(text)) return `SHA-256 ${text.slice(0, SHOWN_HASH)}…`;
  return text.replace(/\b[0-9a-f]{64}\b/g, (hash) => `${hash.slice(0, SHOWN_HASH)}…`);
}
