import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type OpenedBench, openBench } from "../../src/open-bench.ts";
import { createRandom } from "../../src/random.ts";
import { imatrixStage } from "../../src/shard/stages/imatrix.ts";
import { imatrix } from "../../src/verbs/imatrix.ts";
import { mergeShards, type PlanShardsRequest, planShards, runShard } from "../../src/verbs/shard.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

const BOOKS = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");

let folder: string;
let bench: OpenedBench;
let moe: string;
const within = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-shard-imatrix-"));
  bench = await openBench({ threads: 2, backend: "reference", cacheDir: "none" });
  moe = await writeRunnable("moe", folder);
  const random = createRandom(5);
  const words = ["lamp", "river", "old", "seven", "of", "under", "and", "glass", "was", "they"];
  const text = Array.from({ length: 9000 }, () => words[Math.floor(random() * words.length)]).join(" ");
  await writeFile(within("text.txt"), text);
});
afterAll(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

const planned = (model: string, name: string, request: Partial<PlanShardsRequest>) =>
  planShards(model, { stage: "imatrix", directory: within(name), jobs: 3, ...request }, bench);

async function merged(name: string): Promise<Buffer> {
  const output = within(`${name}.gguf`);
  await mergeShards(within(name), { output }, bench);
  return readFile(output);
}

test("a matrix of experts is the same to the byte in jobs of any number and order, and on one machine in blocks", async () => {
  const asked = { text: within("text.txt"), context: 256, chunks: 40, head: true };
  const campaign = await planned(moe, "many", asked);
  expect([campaign.jobs, campaign.units.map(({ of }) => of)]).toEqual([
    2,
    [
      { from: 0, to: 32 },
      { from: 32, to: 40 },
    ],
  ]);
  expect(imatrixStage.name(campaign.units[1]?.of)).toBe("chunks 32 to 39");
  for (const index of [1, 0]) await runShard(within("many"), index, { ...bench, threads: 1 });
  await planned(moe, "one", { ...asked, jobs: 1 });
  await runShard(within("one"), 0, bench);
  const many = await merged("many");
  expect(many.equals(await merged("one"))).toBe(true);
  const alone = await imatrix(moe, { ...asked, blocks: true, output: within("alone.gguf") }, bench);
  expect(many.equals(await readFile(alone.path))).toBe(true);
  expect(alone).toMatchObject({ chunks: 40, dataset: asked.text });
  // what llama-imatrix sums in one go is rounded otherwise
  const plain = await imatrix(moe, { ...asked, output: within("plain.gguf") }, bench);
  expect(many.equals(await readFile(plain.path))).toBe(false);
});

test("of one block it is the file of llama-imatrix, of the text that comes with PRISM where none is given", async () => {
  await planned(BOOKS, "books", { context: 64, chunks: 3 });
  await runShard(within("books"), undefined, bench);
  const { document } = await mergeShards(within("books"), { output: within("books.gguf") }, bench);
  expect(document).toMatchObject({ chunks: 3, dataset: "the calibration text of PRISM", entries: 56 });

  const text = within("text.txt");
  await planned(BOOKS, "texts", { context: 64, chunks: 3, text });
  await runShard(within("texts"), undefined, bench);
  await imatrix(BOOKS, { text, context: 64, chunks: 3, output: within("single.gguf") }, bench);
  expect((await merged("texts")).equals(await readFile(within("single.gguf")))).toBe(true);
});

test("a text that is too short, options of other stages and damaged parts are refused", async () => {
  const text = within("text.txt");
  await expect(planned(BOOKS, "a", { text, chunks: 5000 })).rejects.toThrow(/--chunks 5000: .* has \d+ chunks of/);
  await expect(planned(BOOKS, "a", { text, imatrix: "i.gguf" })).rejects.toThrow(/--imatrix/);
  await expect(planned(BOOKS, "a", { stage: "analysis", text })).rejects.toThrow(/--text/);
  await expect(imatrix(BOOKS, { blocks: true, output: within("b.gguf") }, bench)).rejects.toThrow(/--blocks/);

  await planned(moe, "d", { text, context: 64, chunks: 2 });
  await writeFile(within("d/inputs/tokens"), "other tokens");
  await expect(runShard(within("d"), undefined, bench)).rejects.toThrow(/was changed since/);
  await planned(moe, "e", { text, context: 64, chunks: 2 });
  await runShard(within("e"), undefined, bench);
  const [data = ""] = (await readdir(within("e/parts"))).filter((name) => name.endsWith(".bin"));
  await writeFile(within(`e/parts/${data}`), "short");
  await expect(merged("e")).rejects.toThrow(/has 5 bytes, expected/);
});
