/**
 * The plan against stock presets, uniform types and shuffles at the bytes of several presets: one `run` per model and
 * budget, printed as Markdown. `npx tsx research/ladder.ts [--text FILE] [--chunks N] [--sensitivity uniform|prior|prism] MODEL...`
 * Without a text the models are judged on text sampled from themselves, so that anybody can repeat it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import type { FileType } from "../src/ggml/file-types.ts";
import { openBench } from "../src/open-bench.ts";
import { formatMeanSe } from "../src/report/terminal/mean-se.ts";
import { run } from "../src/run/run.ts";
import type { RunRow } from "../src/run/run-document.ts";
import type { RunRequest } from "../src/run/run-request.ts";
import { parseSensitivity } from "../src/sensitivity/sensitivity-modes.ts";

const BUDGETS: readonly FileType[] = ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M"];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string" },
    chunks: { type: "string", default: "96" },
    sensitivity: { type: "string", default: "uniform" },
    imatrix: { type: "string" },
  },
});

const threads = availableParallelism();
const work = await mkdtemp(join(tmpdir(), "prism-ladder-"));
const bench = await openBench({ threads, backend: "reference", cacheDir: join(work, "cache") });
console.log(
  `${cpus()[0]?.model}, ${threads} threads, llama.cpp ${bench.engine.info.version}, sensitivity ${values.sensitivity}`,
);
console.log(`\n| model | bytes of | bpw | preset | plan | difference | shuffles | uniform types around |`);
console.log("|---|---|---|---|---|---|---|---|");
try {
  for (const model of positionals) for (const budget of BUDGETS) console.log(await ladderLine(model, budget));
} finally {
  await Promise.all([bench.close(), rm(work, { recursive: true, force: true })]);
}

async function ladderLine(model: string, budget: FileType): Promise<string> {
  const request: RunRequest = {
    out: join(work, `${basename(model)}-${budget}`),
    budget: { kind: "like", fileType: budget },
    sensitivity: { name: values.sensitivity, of: parseSensitivity(values.sensitivity) },
    refine: "none",
    baselines: [budget],
    chunks: Number(values.chunks),
    text: values.text,
    imatrix: values.imatrix,
  };
  const result = await run(model, request, bench);
  const of = (kind: RunRow["kind"]) => result.rows.filter((row) => row.kind === kind);
  const [plan, preset] = [of("plan")[0], of("preset")[0]];
  const percent =
    plan?.kld === undefined || preset?.kld === undefined
      ? "-"
      : `${(100 * (plan.kld.mean / preset.kld.mean - 1)).toFixed(1)} %, ${preset.verdict}`;
  const uniform = of("uniform").map((row) => `${row.label.replace("all ", "")} at ${row.bpw.toFixed(2)}: ${kld(row)}`);
  const cells = [basename(model, ".gguf"), budget, plan?.bpw.toFixed(3), kld(preset), kld(plan), percent];
  return `| ${[...cells, of("shuffle").map(kld).join(", "), uniform.join(", ")].join(" | ")} |`;
}

function kld(row: RunRow | undefined): string {
  return row?.kld === undefined ? "-" : formatMeanSe({ value: row.kld.mean, se: row.kld.se });
}
