/** Headings under which the help of a command with many options lists them, what a first use needs first. */
import type { Command, Option } from "commander";

/** Fewer options than this are one list. */
const MANY = 25;

const GROUPS: readonly (readonly [heading: string, options: readonly string[]])[] = [
  ["What to aim for:", ["--bpw", "--size", "--like", "--kld", "--ppl-ratio", "--budgets", "--sizes", "--sweep"]],
  ["The memory of a machine:", ["--vram", "--ram", "--ctx", "--kv", "--parallel", "--mmproj", "--prefer-speed"]],
  ["Output:", ["--out", "--recipe-dir", "--split-max-size", "--keep-split", "--keep-models", "--csv"]],
  ["What to compare with:", ["--reference", "--baseline", "--require"]],
  [
    "What a plan may choose:",
    [
      ...["--types", "--pin", "--floor", "--ban", "--tie", "--mode", "--no-guards", "--no-head-guard"],
      ...["--no-noise-guard", "--no-small-guard", "--no-mtp-guard", "--template", "--base", "--from"],
    ],
  ],
  [
    "What it goes by:",
    [
      ...["--imatrix", "--sensitivity", "--prior", "--refine", "--probe-time", "--probe-guard", "--swaps", "--exact"],
      ...["--feedback", "--calibration"],
    ],
  ],
  ["What it is judged on:", ["--text", "--context", "--chunks", "--kinds", "--speed"]],
  [
    "Rerankers and models that embed:",
    [
      ...["--rerank", "--server", "--reference-server", "--yes", "--no", "--parse-special", "--pairs", "--retrieval"],
      ...["--pooling", "--query-prefix", "--document-prefix"],
    ],
  ],
  [
    "This machine:",
    [
      ...["--max-time", "--gpu-layers", "--threads", "--memory", "--backend", "--llama-dir", "--cache-limit"],
      "--no-cache",
    ],
  ],
  [
    "In general:",
    [
      ...["--strict", "--force-findings", "--allow-requantize", "--force", "--seed", "--json", "--progress", "--quiet"],
      "--help",
    ],
  ],
];

/** The options that have a heading. */
export const PLACES: ReadonlyMap<string, number> = new Map(
  GROUPS.flatMap(([, options], group) => options.map((option, index) => [option, 100 * group + index])),
);

/** Of commands that plan nothing: what a plan leaves room for, they judge with. */
const JUDGED: ReadonlyMap<string, number> = new Map([
  ["--kv", (PLACES.get("--kinds") ?? 0) + 0.5],
  ["--mmproj", (PLACES.get("--document-prefix") ?? 0) + 0.5],
]);

/** Sort the options of a command's help under their headings, where there are many. */
export function inGroups(command: Command, options: readonly Option[]): Option[] {
  if (options.length < MANY) return [...options];
  const isPlanning = command.options.some(({ long }) => long === "--vram");
  const placeOf = ({ long = "" }: Option) =>
    (isPlanning ? undefined : JUDGED.get(long)) ?? PLACES.get(long) ?? Number.POSITIVE_INFINITY;
  const placed = [...options].sort((one, other) => placeOf(one) - placeOf(other));
  for (const option of placed) {
    const [heading] = GROUPS[Math.floor(placeOf(option) / 100)] ?? [];
    if (heading !== undefined) option.helpGroup(heading);
  }
  return placed;
}
