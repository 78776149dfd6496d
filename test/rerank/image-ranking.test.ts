import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { renderRanking } from "../../src/report/terminal/rerank-table.ts";
import { evaluateRerank } from "../../src/rerank/rerank.ts";
import { serve as servePrism } from "../../src/verbs/serve.ts";
import { testBench } from "../bench.ts";
import { barChart, gradient } from "../fixtures/pictures.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { post } from "../server/start-server.ts";
import { seeingServer, stopServers } from "./stand-in-server.ts";

const RED = gradient(64, 48, [255, 0, 0]);
const CHART = barChart(96, 64, [0.2, 0.9]);

let dir: string;
let set: string;
let model: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-images-"));
  await writeFile(join(dir, "red.png"), RED);
  await writeFile(join(dir, "chart.png"), CHART);
  set = join(dir, "set.jsonl");
  const documents = ["sales", { image: "red.png" }, { image: "chart.png", text: "sales" }];
  await writeFile(set, JSON.stringify({ query: "sales by month", documents, relevance: [1, 0, 3] }));
  model = await writeRunnable("causal-qwen3vl-reranker", dir);
  // an engine that sees no images, whatever was built on this machine
  process.env.PRISM_CACHE_DIR = dir;
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterEach(stopServers);
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

/** By the picture that comes last: the chart fits best, red least. */
const byPicture = (shift: number) => (_: string, images: readonly string[]) => {
  const last = images.at(-1);
  return shift + (last === undefined ? 0.5 : last === CHART.toString("base64") ? 0.8 : 0.1);
};

it("a model and its reference rank images, each on a server of its own, and no document holds their bytes", async () => {
  const asked = {
    set,
    reference: model,
    server: await seeingServer(byPicture(0.1)),
    referenceServer: await seeingServer(byPicture(0)),
  };
  const evaluation = await evaluateRerank([model], asked, testBench(engine));
  const scores = (of: (typeof evaluation)["reference"]) =>
    of?.rerank.scores[0]?.map(({ score }) => Number(score.toFixed(6)));
  expect(scores(evaluation.reference)).toEqual([0.5, 0.1, 0.8]);
  expect(scores(evaluation.models[0] as never)).toEqual([0.6, 0.2, 0.9]);
  expect(evaluation.models[0]?.rerank.fidelity?.meanAbsDelta.value).toBeCloseTo(0.1, 12);
  expect(evaluation.models[0]?.rerank.ndcg10?.value).toBe(1);
  expect(evaluation.reference?.rerank.scoredBy).toBe(asked.referenceServer);
  expect(JSON.stringify(evaluation)).not.toContain(RED.toString("base64").slice(0, 24));
  const table = renderRanking(evaluation);
  for (const name of ["red.png 64×48", "chart.png 96×64: sales"]) expect(table).toContain(name);
});

it("without a server a set with images is refused, the reference's too", async () => {
  const command = /set\.jsonl has images, .*"llama-server -m \S+ --mmproj MMPROJ".*--server URL/;
  await expect(evaluateRerank([model], { set }, testBench(engine))).rejects.toThrow(command);
  const half = { set, reference: model, server: await seeingServer(byPicture(0)) };
  await expect(evaluateRerank([model], half, testBench(engine))).rejects.toThrow(/--reference-server URL/);
});

const ask = async (url: string, body: object) => {
  const reply = await post(`${url}/v1/rerank`, body);
  const { results, message } = (await reply.json()) as { results?: object[]; message?: string };
  return { status: reply.status, results, message };
};
const dataUrl = (bytes: Buffer) => `data:image/png;base64,${bytes.toString("base64")}`;
const DOCUMENTS = ["sales", { image: dataUrl(RED) }, { image: dataUrl(CHART), text: "sales" }];

it("serve ranks images with a llama-server, and says without one what is missing", async () => {
  const asked = { query: "sales", documents: DOCUMENTS };
  const seeing = await servePrism(model, { port: 0, server: await seeingServer(byPicture(0)) }, testBench(engine));
  const { status, results } = await ask(seeing.url, asked);
  expect([status, results?.map((result) => (result as { index: number }).index)]).toEqual([200, [2, 0, 1]]);
  expect(await ask(seeing.url, { ...asked, max_tokens_per_doc: 9 })).toMatchObject({
    status: 400,
    message: expect.stringContaining("reads documents whole"),
  });
  await seeing.close();
  const blind = await servePrism(model, { port: 0 }, testBench(engine));
  expect(await ask(blind.url, asked)).toMatchObject({
    status: 400,
    message: expect.stringMatching(
      /images can't be ranked here: .* --server URL, the address of a llama-server -m MODEL --mmproj/,
    ),
  });
  await blind.close();
});

it("serve refuses beside --server what only the engine here can be asked", async () => {
  const server = await seeingServer(byPicture(0));
  for (const own of [{ context: 100 }, { yes: "ja" }, { parseSpecial: "template" as const }]) {
    await expect(servePrism(model, { port: 0, server, ...own }, testBench(engine))).rejects.toThrow(/with --server/);
  }
  const embedder = await writeRunnable("embedder", dir);
  await expect(servePrism(embedder, { port: 0, server }, testBench(engine))).rejects.toThrow(/for rerankers only/);
});
