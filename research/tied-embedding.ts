/**
 * Embeddings that are the head too: what codes that error feedback chose for the head's inputs do to the lookup. A plan at
 * the bytes of a preset with the embeddings in one type and all codes chosen by feedback; the embeddings are taken apart
 * into a lookup and a head, each with the codes of feedback or those that ggml rounds to with the matrix; four files by
 * their KL divergence from the model. `npx tsx research/tied-embedding.ts --text [KIND=]FILE ... [--like Q3_K_M]
 * [--types Q6_K,Q3_K] [--chunks 60] [--context 256] MODEL...`
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { recordResult } from "../bench/results.ts";
import { parseConstraint } from "../src/allocate/patterns.ts";
import { analyze } from "../src/analyze/analyze.ts";
import { makeImatrix } from "../src/evaluate/make-imatrix.ts";
import { openSession } from "../src/evaluate/session.ts";
import { pairedDifference } from "../src/evaluate/statistics.ts";
import { feedbackSpec } from "../src/feedback/feedback.ts";
import type { OpenModel } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { writeGgufAt } from "../src/gguf/writer.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { budgetFrom } from "../src/plan/budget.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { planImatrix, planSpec } from "../src/quantize/plan-spec.ts";
import { quantize } from "../src/quantize/quantize.ts";
import { uniformSensitivity } from "../src/sensitivity/sensitivity.ts";

const EMBEDDINGS = "token_embd.weight";
const HEAD = "output.weight";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string", multiple: true, default: [] },
    context: { type: "string", default: "256" },
    chunks: { type: "string", default: "60" },
    like: { type: "string", default: "Q3_K_M" },
    types: { type: "string", default: "Q6_K,Q3_K" },
    threads: { type: "string", default: "2" },
  },
});
const context = Number(values.context);
const work = await mkdtemp(join(tmpdir(), "prism-tied-"));
const bench = await openBench({
  threads: Number(values.threads),
  backend: "reference",
  cacheDir: join(work, "cache"),
});

/** Whose codes lookup and head have. */
const FILES = [
  { lookup: "rounded", head: "rounded" },
  { lookup: "rounded", head: "coded" },
  { lookup: "coded", head: "rounded" },
  { lookup: "coded", head: "coded" },
] as const;

console.log(`${cpus()[0]?.model}, llama.cpp ${bench.engine.info.version}, ${values.chunks} chunks\n`);
console.log("| model | type | text | lookup | head | KLD | to both rounded |");
console.log("|---|---|---|---|---|---|---|");
try {
  for (const path of positionals) {
    const source = await openLocalModel(path);
    await benchModel(source).finally(() => source.close());
  }
} finally {
  await bench.close();
  await rm(work, { recursive: true, force: true });
}

async function benchModel(source: OpenModel): Promise<void> {
  if (source.facts.hasOutput) throw new Error(`${source.path} has a head of its own`);
  const matrix = join(work, "imatrix.gguf");
  await makeImatrix(source, { output: matrix, context, head: true }, bench);
  const analysis = await analyze(source, { imatrix: await readImatrix(matrix) }, bench);
  for (const type of values.types.split(",")) {
    const plan = makePlan({
      ...{ analysis, sensitivity: uniformSensitivity(analysis), guards: { head: false } },
      budget: budgetFrom("like", values.like),
      constraints: [parseConstraint("pin", `^token_embd=${type}`)],
    });
    const imatrix = await planImatrix(plan, source, matrix);
    const specOf = (name: string) => planSpec(plan, join(work, `${name}.gguf`), imatrix);
    const rounded = await quantize(source, specOf("rounded"), { force: true }, bench);
    const { spec } = feedbackSpec(source, plan, specOf("coded"), { context }, bench);
    const coded = await quantize(source, spec, { force: true }, bench);
    await judge(source, { rounded: rounded.path, coded: coded.path });
  }
}

async function judge(source: OpenModel, made: Readonly<Record<"rounded" | "coded", string>>) {
  for (const named of values.text) {
    const [, kind, text] = /^(?:(\w+)=)?(.+)$/.exec(named) as unknown as [string, string | undefined, string];
    const request = { context, text, chunks: Number(values.chunks), spread: true };
    const session = await openSession({ reference: source, pilot: source }, request, bench);
    try {
      let base: readonly number[] | undefined;
      for (const { lookup, head } of FILES) {
        const path = join(work, "untied.gguf");
        const type = await untie(made.coded, made[lookup], made[head], path);
        const model = await openLocalModel(path);
        const { kld, perChunk } = await session.evaluateModel(model).finally(() => model.close());
        if (kld === undefined || perChunk?.kld === undefined) throw new Error(`${path} has no KL divergence`);
        base ??= perChunk.kld;
        const difference = pairedDifference(perChunk.kld, base);
        const figures = {
          model: basename(source.path),
          like: values.like,
          type,
          text: kind ?? basename(text),
          lookup,
          head,
        };
        const change = `${difference.value.toPrecision(2)} ± ${difference.se.toPrecision(2)}`;
        console.log(
          `| ${figures.model} | ${type} | ${figures.text} | ${lookup} | ${head} | ` +
            `${kld.mean.toPrecision(4)} ± ${kld.se.toPrecision(2)} | ${change} |`,
        );
        await recordResult({ bench: "tied-embedding", figures: { ...figures, kld, difference } });
      }
    } finally {
      await session.close();
    }
  }
}

/** Write `from` with the embeddings of two files of the same layout as its lookup and its head; returns their type. */
async function untie(from: string, lookup: string, head: string, path: string): Promise<string> {
  const [file, ofLookup, ofHead] = [
    await openLocalModel(from),
    await openLocalModel(lookup),
    await openLocalModel(head),
  ];
  const bytes = await open(from);
  try {
    const { keyValues, tensors } = file.model;
    const raw = [];
    for (const { key, start, end } of keyValues) {
      const entry = new Uint8Array(end - start);
      await bytes.read(entry, 0, entry.length, start);
      raw.push({ key, raw: entry });
    }
    const read = async (model: OpenModel, name: string) => {
      const tensor = model.model.tensors.find((one) => one.name === name);
      if (tensor === undefined) throw new Error(`${model.path} has no ${name}`);
      return { name, shape: tensor.shape, type: tensor.type, data: await model.read(tensor, 0, tensor.bytes) };
    };
    const others = [];
    for (const { name } of tensors) if (name !== EMBEDDINGS) others.push(await read(file, name));
    const embeddings = await read(ofLookup, EMBEDDINGS);
    const output = { ...(await read(ofHead, EMBEDDINGS)), name: HEAD };
    await writeGgufAt(path, { keyValues: raw, tensors: [output, embeddings, ...others] });
    return embeddings.type;
  } finally {
    await Promise.all([file.close(), ofLookup.close(), ofHead.close(), bytes.close()]);
  }
}
