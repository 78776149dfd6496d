import { copyFile, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLocalModel } from "../../src/gguf/open.ts";
import { type OpenedBench, openBench } from "../../src/open-bench.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { evaluateModels } from "../../src/verbs/evaluate.ts";
import { quantizePlan } from "../../src/verbs/quantize.ts";
import { mergeShards, type PlanShardsRequest, planShards, runShard } from "../../src/verbs/shard.ts";
import { generateText } from "../evaluate/generated-text.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";

const BOOKS = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");
// batches of eight chunks and of four
const ASKED = { context: 256, chunks: 12 };

let folder: string;
let bench: OpenedBench;
let text: string;
/** One file, and one in parts. */
let whole: string;
let split: string;
const within = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-shard-evaluation-"));
  // more threads of so small a model wait for each other
  bench = await openBench({ threads: 1, backend: "reference", cacheDir: "none" });
  text = within("text.txt");
  await writeFile(text, generateText(4000));
  whole = within("q3.gguf");
  const job = { source: BOOKS, output: whole, fileType: "Q3_K_M", overrides: [], threads: 2 } as const;
  await bench.engine.quantize(job);
  const analysis = await madeUpAnalysis(BOOKS);
  const plan = makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "like", fileType: "Q4_K_M" },
  });
  await writeFile(within("plan.json"), JSON.stringify(plan));
  const made = await quantizePlan(within("plan.json"), { output: within("q4.gguf"), splitMaxSize: "2MB" }, bench);
  split = made.path;
});
afterAll(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

const planned = (name: string, request: Partial<PlanShardsRequest> = {}) =>
  planShards(
    BOOKS,
    { stage: "evaluation", directory: within(name), jobs: 3, candidate: [whole, split], text, ...ASKED, ...request },
    bench,
  );

async function merged(name: string): Promise<string> {
  const output = within(`${name}.json`);
  await mergeShards(within(name), { output }, bench);
  return readFile(output, "utf8");
}

const timeless = (document: string) => document.replaceAll(/"(createdAt|elapsedMs)": [^,\n]*/g, "");

async function alone(candidates: readonly string[], request = {}): Promise<string> {
  const { evaluation } = await evaluateModels(candidates, { reference: BOOKS, text, ...ASKED, ...request }, bench);
  return `${JSON.stringify(evaluation, null, 2)}\n`;
}

test("the document is that of one machine but for its times, by any number of jobs, threads and in any order", async () => {
  const campaign = await planned("many");
  expect(campaign.jobs).toBe(3);
  expect(campaign.units.map(({ of }) => of)).toEqual(
    [0, 8].flatMap((from) =>
      [0, 1].map((candidate) => ({ candidate, pass: "text", from, to: Math.min(12, from + 8) })),
    ),
  );
  // a file in parts has all of them there
  expect((await readdir(within("many/candidates/1"))).length).toBeGreaterThan(1);
  const cached = { ...bench, cache: { ...bench.cache, dir: within("cache") } };
  await runShard(within("many"), 2, { ...bench, threads: 2 });
  for (const index of [0, 1]) await runShard(within("many"), index, cached);
  // of both blocks, for both candidates
  expect((await readdir(within("cache/logits"))).filter((name) => name.endsWith(".logits"))).toHaveLength(2);
  const many = timeless(await merged("many"));
  expect(many).toBe(timeless(await alone([whole, split])));
  expect(JSON.parse(await readFile(within("many.json"), "utf8"))).toMatchObject({
    text: { path: text, chunks: 12 },
    models: [{ path: whole, chunks: 12, tokens: 12 * 127 }, { path: split }],
  });

  await planned("one", { jobs: 1 });
  await runShard(within("one"), undefined, cached);
  expect(timeless(await merged("one"))).toBe(many);
});

test("kinds of text, and caches of other types, are judged as on one machine", async () => {
  const kinds = [within("prose.txt"), within("code.txt")];
  for (const [index, path] of kinds.entries()) await writeFile(path, generateText(1200, index + 7));
  // a batch has sixteen chunks: those of kinds begin within one
  const asked = { context: 128, chunks: 3, kinds, kv: "q8_0,q4_0" };
  const campaign = await planned("more", { candidate: [whole], jobs: 2, ...asked });
  expect(campaign.units.map(({ of }) => of)).toEqual([
    { candidate: 0, pass: "text", from: 0, to: 3 },
    { candidate: 0, pass: "kv", from: 0, to: 3 },
    { candidate: 0, pass: "kinds", from: 3, to: 9 },
  ]);
  for (const index of [1, 0]) await runShard(within("more"), index, bench);
  const document = await merged("more");
  expect(timeless(document)).toBe(timeless(await alone([whole], asked)));
  expect(JSON.parse(document).models[0]).toMatchObject({
    kinds: [
      { kind: "prose", chunks: 3 },
      { kind: "code", chunks: 3 },
    ],
    kvCache: { k: "Q8_0", v: "Q4_0" },
  });
});

test("what differs without harm and a context beyond the model's are said as on one machine", async () => {
  const asked = { context: 320, chunks: 2 };
  await planned("warned", { candidate: [whole], jobs: 1, ...asked });
  await runShard(within("warned"), 0, bench);
  const document = await merged("warned");
  expect(timeless(document)).toBe(timeless(await alone([whole], asked)));
  expect(JSON.parse(document).warnings).toHaveLength(2);
});

test("a candidate that was changed, and parts that are damaged or of other machines' making, are refused", async () => {
  const own = within("own.gguf");
  await copyFile(whole, own);
  const asked = { candidate: [own], context: 64, chunks: 2, jobs: 1 };
  await planned("changed", asked);
  await rm(own);
  await copyFile(BOOKS, own);
  await expect(runShard(within("changed"), 0, bench)).rejects.toThrow(
    /own\.gguf: is not the model this campaign was planned for/,
  );
  await rm(own);
  await copyFile(whole, own);
  await runShard(within("changed"), 0, bench);
  const [data = ""] = (await readdir(within("changed/parts"))).filter((name) => name.endsWith(".bin"));
  const part = within(`changed/parts/${data}`);
  const bytes = await readFile(part);
  await writeFile(part, bytes.fill(0, 8, 16));
  await expect(merged("changed")).rejects.toThrow(/is damaged \(its checksum is another\), so its part was taken away/);
  await expect(merged("changed")).rejects.toThrow(/1 of 1 parts are missing/);
  await runShard(within("changed"), 0, bench);
  await writeFile(part, "short");
  await expect(merged("changed")).rejects.toThrow(/has 5 bytes, expected/);
  const over = mergeShards(within("changed"), { output: own, force: true }, bench);
  await expect(over).rejects.toThrow(/own\.gguf/);
  const campaign = await readFile(within("changed/campaign.json"), "utf8");
  for (const elsewhere of ["candidates/0/../../../own.gguf", "/own.gguf", "https://example.org/own.gguf"]) {
    await writeFile(within("changed/campaign.json"), campaign.replace("candidates/0/own.gguf", elsewhere));
    await expect(merged("changed")).rejects.toThrow(/names a model outside the campaign/);
  }
});

test("logits of a reference that was mended since, where no fingerprint looks, are not believed", async () => {
  const reference = within("mended.gguf");
  await copyFile(BOOKS, reference);
  const cached = { ...bench, cache: { ...bench.cache, dir: within("mended") } };
  const asked = { stage: "evaluation", candidate: [whole], text, context: 64, chunks: 2, jobs: 1 } as const;
  const runs = async (name: string) => {
    const { id } = await planShards(reference, { ...asked, directory: within(name) }, bench);
    await runShard(within(name), 0, cached);
    return { id, logits: (await readdir(within("mended/logits"))).filter((file) => file.endsWith(".logits")).length };
  };
  const before = await runs("before");
  const found = await openLocalModel(reference);
  await found.close();
  const [largest] = [...found.model.tensors].sort((a, b) => b.bytes - a.bytes);
  const file = await open(reference, "r+");
  await file.write(Buffer.from([1]), 0, 1, largest?.offset);
  await file.close();
  expect(await runs("after")).toEqual({ id: before.id, logits: before.logits + 1 });
});

test("what one machine would find by decoding has to be given, and what no campaign judges is refused", async () => {
  await expect(planned("a", { candidate: undefined })).rejects.toThrow(/--candidate FILE/);
  await expect(planned("a", { text: undefined })).rejects.toThrow(/give --text FILE/);
  await expect(planned("a", { chunks: undefined })).rejects.toThrow(/give --chunks N/);
  await expect(planned("a", { chunks: 5000 })).rejects.toThrow(/--chunks 5000: .* has \d+ chunks of 256/);
  await expect(planned("a", { head: true })).rejects.toThrow(/--head/);
  await expect(planned("a", { plan: "plan.json" })).rejects.toThrow(/--plan/);
  await expect(planned("a", { stage: "imatrix" })).rejects.toThrow(/--candidate/);
  await expect(planned("a", { kv: "Q3_K" })).rejects.toThrow(/--kv/);
  await expect(planned("a", { kinds: [text, text] })).rejects.toThrow(/two files are called "text"/);
  await expect(planned("a", { candidate: ["hf:a/b/c.gguf"] })).rejects.toThrow(/hf:a\/b\/c\.gguf/);
  const other = await writeRunnable("moe", folder);
  await expect(planned("a", { candidate: [other] })).rejects.toThrow(
    new RegExp(`${basename(other)}: its tokens are not those of the reference`),
  );
  const encoder = await writeRunnable("embedder", folder);
  await expect(planned("a", { candidate: [encoder] })).rejects.toThrow(/is an encoder and predicts no next token/);
});
