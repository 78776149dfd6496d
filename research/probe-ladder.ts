/**
 * What chunks of probes are worth in files: at the bytes of presets, the KL divergence of the preset without and with the
 * importance matrix, of the plan without probes, of plans after so many chunks of probes, and of the plan that every tensor
 * alone gives; probes replayed from a table (research/probe-table.ts), verdict on the beginning of the text, which they did
 * not see. `npx tsx research/probe-ladder.ts --text FILE --analysis FILE --imatrix FILE --table FILE --work DIR
 * [--budgets Q3_K_M,...] [--after 5,20,40,160] [--chunks 40] [--context 256] MODEL`; a line of JSON per budget too.
 */
import { mkdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import { SILENT } from "../src/bench.ts";
import { scoreFile } from "../src/evaluate/score-file.ts";
import { openSession } from "../src/evaluate/session.ts";
import { pairedDifference } from "../src/evaluate/statistics.ts";
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import type { OpenModel } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { probeModel } from "../src/probes/probe-model.ts";
import { planSpec, presetSpec } from "../src/quantize/plan-spec.ts";
import type { QuantizeSpec } from "../src/quantize/quantize.ts";
import type { Sensitivity } from "../src/sensitivity/sensitivity.ts";
import { parseSensitivity } from "../src/sensitivity/sensitivity-modes.ts";
import { commonChunks, emptyStore, exhaustive, readTable, replaySite, withSums } from "./probe-replay.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string", default: "" },
    analysis: { type: "string", default: "" },
    imatrix: { type: "string", default: "" },
    table: { type: "string", default: "" },
    work: { type: "string", default: "" },
    budgets: { type: "string", default: "Q2_K,IQ3_XXS,Q3_K_M,IQ4_XS,Q4_K_M,Q5_K_M" },
    after: { type: "string", default: "5,20,40,160" },
    chunks: { type: "string", default: "40" },
    context: { type: "string", default: "256" },
  },
});
const [path = ""] = positionals;
const { text, work } = values;
await mkdir(work, { recursive: true });
const analysis = readAnalysis(await readFile(values.analysis, "utf8"), values.analysis);
const imatrix = await readImatrix(values.imatrix);
const rows = withSums(analysis, await readTable(values.table));
const bench = await openBench({ threads: 1, backend: "reference", cacheDir: join(work, "cache") });
const source = await openLocalModel(path);
const prior = parseSensitivity("auto")(analysis);
const counts = values.after.split(",").map(Number);
const sensitivities: [string, Sensitivity][] = [["no probes", prior]];
for (const chunks of counts) {
  const site = replaySite(rows, commonChunks(rows));
  const request = { analysis, prior, site, store: emptyStore(), budget: { chunks } };
  const { sensitivity } = await probeModel(request, { signal: bench.signal, progress: SILENT });
  sensitivities.push([`${chunks} chunks`, sensitivity]);
}
sensitivities.push(["every tensor", exhaustive(analysis, rows)]);

const request = { context: Number(values.context), text, chunks: Number(values.chunks) };
const session = await openSession({ reference: source, pilot: source }, request, bench);
const output = join(work, "ladder.gguf");
const evaluate = (model: OpenModel) => session.evaluateModel(model);
const scored = new Map<string, { kld: number; se: number; perChunk: readonly number[] }>();
async function score(key: string, spec: QuantizeSpec) {
  const known = scored.get(key);
  if (known !== undefined) return known;
  const { kld, perChunk } = await scoreFile(source, { spec, keep: false }, evaluate, bench);
  const found = { kld: kld?.mean ?? 0, se: kld?.se ?? 0, perChunk: perChunk?.kld ?? [] };
  scored.set(key, found);
  return found;
}

const names = ["preset", "preset + imatrix", ...sensitivities.map(([name]) => name)];
console.log(`| model | bytes of | ${names.join(" | ")} | gain after each, % of every tensor's |`);
console.log(`|${"---|".repeat(names.length + 3)}`);
for (const budget of values.budgets.split(",")) {
  const fileType = parseFileType(budget) as FileType;
  const planOf = (sensitivity: Sensitivity) =>
    makePlan({ analysis, sensitivity, budget: { kind: "like", fileType, text: budget } });
  const { imatrix: _, ...plain } = planOf(prior);
  const needs = /^IQ[123]_|^IQ3_XX/.test(budget);
  const found = [
    needs ? undefined : await score(`${budget} plain`, presetSpec(plain, fileType, output)),
    await score(`${budget} preset`, presetSpec(planOf(prior), fileType, output, imatrix)),
  ];
  for (const [, sensitivity] of sensitivities) {
    const plan = planOf(sensitivity);
    found.push(await score(plan.tensors.map(({ type }) => type).join(), planSpec(plan, output, imatrix)));
  }
  const [none, best] = [found[2]?.kld ?? 0, found.at(-1)?.kld ?? 0];
  const gains = found.slice(3, -1).map((one) => `${((100 * (none - (one?.kld ?? 0))) / (none - best)).toFixed(0)}`);
  const name = basename(path, ".gguf");
  const cells = found.map((one) => (one === undefined ? "" : `${one.kld.toPrecision(3)} ± ${one.se.toPrecision(1)}`));
  console.log(`| ${[name, budget, ...cells, gains.join(", ")].join(" | ")} |`);
  const versus = found.map((one) =>
    one === undefined ? undefined : pairedDifference(one.perChunk, found[1]?.perChunk ?? []),
  );
  console.error(
    JSON.stringify({ name, budget, names, kld: found.map((one) => one?.kld), toPresetWithImatrix: versus }),
  );
}
await session.close();
await source.close();
await bench.close();
