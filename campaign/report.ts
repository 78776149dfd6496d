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
const PAGE_PATH = path("../docs/reliability.md");

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

function readResults(): Results {
  return existsSync(JSON_PATH) ? (JSON.parse(readFileSync(JSON_PATH, "utf8")) as Results) : {};
}

const HEAD = `# Reliability

What the campaign against PRISM found (\`campaign/\`): seeded, so that every case can be made again. A short share of it
runs in the test suite. This page is written by \`npm run campaign -- report\` from \`campaign/results.json\`; the target is 0
in every column of failures.

| part | cases | crashes | hangs | memory | wrong results | runs resumed | peak memory | time |
| ---- | ----- | ------- | ----- | ------ | ------------- | ------------ | ----------- | ---- |
`;

export function renderPage(results: Results): string {
  const all = Object.values(results);
  return `${HEAD}${all.map(row).join("")}
${all.map(details).join("\n")}`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replace(/\s+/g, " ");

function row({ part, cases, failures, resumed, peakBytes, seconds }: Recorded): string {
  const of = (kind: FailureKind) => failures.filter((failure) => failure.kind === kind).length;
  const kinds = (["crash", "hang", "memory", "wrong"] as const).map(of);
  const peak = peakBytes === undefined ? "not measured" : `${Math.round(peakBytes / 1e6)} MB`;
  const cells = [part, cases, ...kinds, resumed ?? "-", peak, `${Math.round(seconds)} s`];
  return `| ${cells.join(" | ")} |\n`;
}

function details({ part, seed, date, machine, prismVersion, counts, skipped, failures }: Recorded): string {
  const lines = [
    `## ${part}`,
    "",
    `${PARTS[part]?.about ?? ""}. Seed ${seed}, PRISM ${prismVersion}, ${date.slice(0, 10)}, on ${machine}.`,
    "",
    ...Object.entries(counts).map(([what, times]) => `- ${cell(what)}: ${times}`),
    ...skipped.map((what) => `- not tried here: ${cell(what)}`),
    ...failures.map(({ kind, id, what }) => `- **${kind}** \`${id}\`: ${cell(what).slice(0, 200)}`),
  ];
  return `${lines.join("\n")}\n`;
}
