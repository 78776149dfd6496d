/**
 * Every probe that could be asked of a model, chunk by chunk: what designs of probing are judged by, without decoding
 * again. Each group (every class, its halves by depth, down to single tensors) is degraded in place as a run's probes
 * are; a line of JSON per group and chunk goes to --out, which a second call goes on with.
 * `npx tsx research/probe-table.ts --text FILE --analysis FILE [--imatrix FILE] --out FILE.jsonl [--chunks 0,1,2,3]
 * [--only singles] MODEL`
 */
import { existsSync } from "node:fs";
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import type { LoadedModel } from "../src/engine/engine.ts";
import { meanSe } from "../src/evaluate/statistics.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { probeGroups } from "../src/probes/probe-design.ts";
import { probeParts } from "../src/probes/probe-group.ts";
import { openProbeSite } from "../src/probes/probe-site.ts";
import { readProbeText } from "../src/probes/probe-text.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string" },
    analysis: { type: "string" },
    imatrix: { type: "string" },
    out: { type: "string" },
    context: { type: "string", default: "512" },
    chunks: { type: "string", default: "0,1,2,3" },
    only: { type: "string", default: "" },
    type: { type: "string", default: "Q3_K" },
    work: { type: "string" },
  },
});
const [path] = positionals;
const { text, analysis: analysisPath, imatrix: imatrixPath, out, work } = values;
if (path === undefined || text === undefined || analysisPath === undefined || out === undefined || work === undefined) {
  throw new Error("give MODEL, --text, --analysis, --out and --work");
}
const type = values.type as "Q3_K";
const context = Number(values.context);
await mkdir(work, { recursive: true });
const analysis = readAnalysis(await readFile(analysisPath, "utf8"), analysisPath);
const imatrix = imatrixPath === undefined ? undefined : await readImatrix(imatrixPath);
const bench = await openBench({ threads: 1, backend: "reference", cacheDir: join(work, "cache") });
const source = await openLocalModel(path);
const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
const last = Math.max(1, analysis.facts.layers - 1);
const described = eligible.map(({ name, class: own, layer, elements }) => ({
  name,
  class: own,
  ...(layer === undefined ? {} : { layer, depth: layer / last }),
  elements,
  logPrior: 0,
}));
const all = probeGroups(described);
const singles = all.filter(({ tensors }) => tensors.length === 1);
const wholes = all.filter(({ tensors }) => tensors.length > 1).sort((a, b) => b.tensors.length - a.tensors.length);
const groups = values.only === "singles" ? singles : values.only === "groups" ? wholes : [...wholes, ...singles];
const wanted = values.chunks.split(",").map(Number);
const seen = new Map<string, Set<number>>();
if (existsSync(out)) {
  for (const line of (await readFile(out, "utf8")).split("\n").filter(Boolean)) {
    const row = JSON.parse(line);
    for (const chunk of row.chunks) seen.set(row.key, (seen.get(row.key) ?? new Set()).add(chunk));
  }
}
const site = await openProbeSite(
  source,
  {
    analysis,
    imatrix,
    context,
    scratch: join(work, "scratch"),
    textOf: (loaded: LoadedModel) =>
      readProbeText(loaded, source, { context, text, textChunks: 32, trialChunks: 64 }, bench),
  },
  { ...bench, progress: { note: console.error, steps: () => undefined } },
);
console.error(`${groups.length} groups, ${site.kind}, ${site.text.probes.chunks} chunks`);
const reference = await site.refer(site.text.probes);
for (const [index, { name, tensors }] of groups.entries()) {
  const members = tensors.map((i) => eligible[i]).filter((tensor) => tensor !== undefined);
  const key = `${type} ${members.map((tensor) => tensor.name).join(" ")}`;
  const chunks = wanted.filter((chunk) => chunk < site.text.probes.chunks && !seen.get(key)?.has(chunk));
  if (chunks.length === 0) continue;
  const parts = probeParts(members, type);
  const types = new Map(parts.map(({ tensor, type: own }) => [tensor.name, own]));
  const started = performance.now();
  const kld = await site.degrade(types, async (model) => {
    const results: number[] = [];
    for (const first of chunks) {
      const nats = await reference.measure(model, { first, count: 1 });
      results.push(meanSe(nats).value);
    }
    return results;
  });
  const weights = parts.map(({ tensor, distortion }) => tensor.elements * distortion);
  const ms = Math.round(performance.now() - started);
  await appendFile(out, `${JSON.stringify({ key, name, tensors, type, weights, chunks, kld, ms })}\n`);
  if (index % 10 === 0) console.error(`${index}/${groups.length} ${name} ${kld[0]?.toExponential(3)} ${ms} ms`);
}
await site.close();
await bench.close();
