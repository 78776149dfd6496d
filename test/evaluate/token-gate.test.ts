import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine, PerplexityJob } from "../../src/engine/engine.ts";
import { evaluate } from "../../src/evaluate/evaluate.ts";
import { type NewKeyValue, writeGguf } from "../../src/gguf/writer.ts";
import { evaluateRerank } from "../../src/rerank/rerank.ts";
import { testBench } from "../bench.ts";
import { type RunnableKind, runnableGguf } from "../fixtures/runnable.ts";
import { generateText } from "./generated-text.ts";

let dir: string;
let text: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-tokens-"));
  text = join(dir, "text.txt");
  await writeFile(text, generateText(100));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

type Change = (keyValue: NewKeyValue) => NewKeyValue;
type Values = readonly (string | number)[];

async function write(name: string, change: Change = same, added: readonly NewKeyValue[] = [], kind?: RunnableKind) {
  const path = join(dir, `${name}.gguf`);
  const file = runnableGguf(kind ?? "llama");
  await writeGguf(path, { ...file, keyValues: [...file.keyValues.map(change), ...added] });
  return path;
}

const same: Change = (keyValue) => keyValue;
const changing =
  (key: string, change: (value: Values) => Values): Change =>
  (keyValue) =>
    (keyValue.key === `tokenizer.ggml.${key}`
      ? { ...keyValue, value: change(keyValue.value as Values) }
      : keyValue) as NewKeyValue;

/** "e" and "t" change places. */
const permuted = changing("tokens", (tokens) => tokens.map((token) => ({ e: "t", t: "e" })[token] ?? token));
const u32 = (name: string, value: number): NewKeyValue => ({ key: `tokenizer.ggml.${name}`, type: "u32", value });
const flag = (name: string, value: boolean): NewKeyValue => ({ key: `tokenizer.ggml.${name}`, type: "bool", value });
/** The last token is used by nobody, under this name. */
const padding = (name: string): Change => {
  const types = changing("token_type", (values) => [...values.slice(0, -1), 5]);
  const tokens = changing("tokens", (values) => [...values.slice(0, -1), name]);
  return (keyValue) => types(tokens(keyValue));
};

function judge(models: string[], reference?: string, steps: string[] = [], more: { text?: string } = { text }) {
  const progress = { note: () => undefined, steps: (what: string) => void steps.push(what) };
  return evaluate(models, { reference, context: 32, chunks: 2, ...more }, testBench(engine, { progress }));
}

describe("models of other tokens", () => {
  it("are refused by name before anything is decoded", async () => {
    const [reference, other] = [await write("one"), await write("permuted", permuted)];
    const steps: string[] = [];
    const refused =
      /permuted\.gguf: its tokens are not those of the reference .*: token 101 is "t", the reference's "e" \(2 /;
    await expect(judge([other], reference, steps)).rejects.toThrow(refused);
    await expect(judge([reference, other], reference, steps)).rejects.toThrow(refused);
    await expect(judge([reference, other], undefined, steps)).rejects.toThrow(refused);
    expect(steps).toEqual([]);
  });

  it("are refused where they cut the text otherwise, written or sampled", async () => {
    const reference = await write("plain");
    const other = await write("bos", same, [flag("add_bos_token", true)]);
    const steps: string[] = [];
    const refused =
      /bos\.gguf: cuts the text otherwise than the reference .*: token 1 of it is 256, the reference's \d+/;
    await expect(judge([other], reference, steps)).rejects.toThrow(refused);
    expect(steps).toEqual([]);
    await expect(judge([other], reference, [], {})).rejects.toThrow(/cuts the text otherwise/);
  });

  it("are refused for a vocabulary filled up to another size", async () => {
    const reference = await write("short");
    const longer = changing("tokens", (tokens) => [...tokens, "[PAD257]"]);
    const types = changing("token_type", (values) => [...values, 5]);
    const other = await write("longer", (keyValue) => types(longer(keyValue)));
    await expect(judge([other], reference)).rejects.toThrow(
      /filled up with unused tokens to 258, the reference's to 257/,
    );
  });

  it("are refused to llama.cpp's programs, which are not asked", async () => {
    const [reference, other] = [await write("one"), await write("permuted", permuted)];
    const cut = await write("bos", same, [flag("add_bos_token", true)]);
    const jobs: PerplexityJob[] = [];
    const refuse = () => Promise.reject(new Error("not asked for here"));
    const perplexity = (job: PerplexityJob) => {
      jobs.push(job);
      return Promise.resolve({ chunks: 30, ppl: { value: 20, se: 1 } });
    };
    const programs: Engine = {
      info: { kind: "programs", version: "0.5.0", origin: "/llama", devices: [] },
      quantize: refuse,
      close: async () => undefined,
      programs: { imatrix: refuse, perplexity },
    };
    const asked = { reference, text, context: 64 };
    await expect(evaluate([other], asked, testBench(programs))).rejects.toThrow(/are not those of the reference/);
    await expect(evaluate([cut], asked, testBench(programs))).rejects.toThrow(/add_bos_token: llama\.cpp's programs/);
    const beside = { ...programs, library: engine.library } as Engine;
    await expect(evaluate([cut], asked, testBench(beside))).rejects.toThrow(/cuts the text otherwise/);
    expect(jobs).toEqual([]);
  });

  it("are refused as rerankers too, whoever scores", async () => {
    const reference = await write("ranker", same, [], "causal-reranker");
    const other = await write("ranker-permuted", permuted, [], "causal-reranker");
    const set = join(dir, "set.jsonl");
    await writeFile(set, JSON.stringify({ query: "fruit", documents: ["A banana.", "Lyon"] }));
    const steps: string[] = [];
    const progress = { note: () => undefined, steps: (what: string) => void steps.push(what) };
    const bench = testBench(engine, { progress });
    const refused = /ranker-permuted\.gguf: its tokens are not those of the reference/;
    await expect(evaluateRerank([other], { reference, set }, bench)).rejects.toThrow(refused);
    const server = "http://127.0.0.1:9";
    await expect(evaluateRerank([other], { reference, set, server }, bench)).rejects.toThrow(refused);
    expect(steps).toEqual([]);
  });
});

describe("models of the same tokens", () => {
  it.each([
    ["a padding token", same, [u32("padding_token_id", 3)], /padding_token_id \(3, the reference's absent\)/],
    ["another end", changing("eos_token_id", () => 5 as never), [], /eos_token_id \(5, the reference's 256\)/],
    ["a template", same, [{ key: "tokenizer.chat_template", type: "string", value: "{{ x }}" }], /chat_template/],
    ["no merges", same, [flag("add_bos_token", false)], /add_bos_token .*: the text has the same tokens all the same/],
    ["unused names", padding("[PAD256]"), [], /1 unused tokens \(token 256 is "\[PAD256\]"/],
  ] as [string, Change, NewKeyValue[], RegExp][])("are scored, and %s is said", async (name, change, added, said) => {
    const reference = await write("reference");
    const { models, warnings } = await judge([await write(name.replaceAll(" ", "-"), change, added)], reference);
    expect(Math.abs(models[0]?.kld?.mean ?? 1)).toBeLessThan(1e-4);
    expect(warnings.filter((warning) => !/chunks were scored/.test(warning))).toEqual([expect.stringMatching(said)]);
  });

  it("are scored without a word where nothing differs", async () => {
    const [reference, equal] = [await write("reference"), await write("equal")];
    expect((await judge([equal], reference)).warnings).toHaveLength(1);
  });
});
