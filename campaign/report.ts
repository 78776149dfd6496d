/** The figures of the last runs: kept as JSON, told in docs/reliability.md. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { PRISM_VERSION } from "../src/version.ts";
import { PARTS } from "./parts.ts";
import type { FailureKind, Result } from "./result.ts";

export interface Recorded extends Result {
  readonly prismVersion: string;
  readonly machine: string;
  readonly date: string;
}

export type Results = Readonly<Record<string, Recorded>>;

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const JSON_PATH = path("results.json");
export const PAGE_PATH = path("../docs/reliability.md");

/** Keep a part's result in place of its last one. */
export function record(result: Result): void {
  const [cpu] = cpus();
  const machine = `${cpu?.model.trim() || arch()}, ${cpus().length} threads, ${Math.round(totalmem() / 1e9)} GB, ${platform()}`;
  const recorded: Recorded = { ...result, prismVersion: PRISM_VERSION, machine, date: new Date().toISOString() };
  const all = { ...readResults(), [result.part]: recorded };
  writeFileSync(JSON_PATH, `${JSON.stringify(all, null, 2)}\n`);
}

export function writePage(): string {
  writeFileSync(PAGE_PATH, renderPage(readResults()));
  return PAGE_PATH;
}

export function readResults(): Results {
  return existsSync(JSON_PATH) ? (JSON.parse(readFileSync(JSON_PATH, "utf8")) as Results) : {};
}

const HEAD = `# Reliability

A number that is wrong without a word is the worst that PRISM could do, and a crash or a hang the next. \`campaign/\` looks for
both: each part attacks from a seed, so that a case can be made again by its number (a moment at which a signal arrives only
nearly). A share of each runs with the tests; \`npm run campaign -- PART --count N --keep\` runs more and writes the figures here.
The target is 0 in the four columns of failures.

`;

export function renderPage(results: Results): string {
  const all = Object.keys(PARTS).flatMap((part) => results[part] ?? []);
  const rows = all.map(cellsOf);
  const widths = COLUMNS.map((name, index) => Math.max(name.length, ...rows.map((cells) => cells[index]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, index) => text.padEnd(widths[index] ?? 0)).join(" | ")} |\n`;
  const table = [COLUMNS, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("");
  return `${HEAD}${table}\n${all.map(details).join("\n")}`;
}

const COLUMNS = [
  ...["part", "cases", "crashes", "hangs", "leaps in memory", "wrong results", "went on and ended well"],
  ...["peak memory", "time"],
];

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

function cellsOf({ part, cases, failures, resumed, peakBytes, seconds }: Recorded): string[] {
  const of = (kind: FailureKind) => failures.filter((failure) => failure.kind === kind).length;
  const kinds = (["crash", "hang", "memory", "wrong"] as const).map(of);
  const peak = peakBytes === undefined ? "not measured" : `${Math.round(peakBytes / 1e6)} MB`;
  return [part, cases, ...kinds, resumed ?? "-", peak, `${Math.round(seconds)} s`].map(String);
}

function details({ part, seed, date, machine, prismVersion, counts, skipped, failures }: Recorded): string {
  const counted = Object.entries(counts).map(([what, times]) => `${oneLine(what)} ${times}`);
  const paragraphs = [
    `## ${part}`,
    `${PARTS[part]?.about ?? ""}. Seed ${seed}, PRISM ${prismVersion}, ${date.slice(0, 10)}, ${machine}.`,
    ...(counted.length === 0 ? [] : [`Counted: ${counted.join("; ")}.`]),
    ...[...skipped].map((what) => `Not tried: ${oneLine(what)}.`),
    ...failures.map(
      ({ kind, id, what }) =>
        `- **${kind}**, ${id}: ${oneLine(what)
          .slice(0, 200)
          .replace(/[<>*_`[\]|\\]/g, "\\$&")}`,
    ),
  ];
  return `${paragraphs.join("\n\n")}\n`;
}
