import { describe, expect, test } from "vitest";
import { imatrixKeyBytes, outputHeaderBytes, readFacts } from "../../src/gguf/facts.ts";
import type { Model } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { type NewKeyValue, writeGguf } from "../../src/gguf/writer.ts";
import { plainModel } from "./plain-model.ts";
import { temporaryFolder } from "./raw-header.ts";

const at = temporaryFolder();

async function open(path: string): Promise<Model> {
  const file = await openModel(path);
  await file.close();
  return file.model;
}

describe("readFacts", () => {
  test("reads the bundled model", async () => {
    expect(readFacts(await open("models/books-llama-8m-f16.gguf"))).toEqual({
      arch: "llama",
      layers: 8,
      nextnLayers: 0,
      heads: 4,
      kvHeads: 2,
      experts: 0,
      hasOutput: true,
      rankPooling: false,
      alignment: 32,
      vocabSize: 4096,
      contextTrain: 256,
      // Measured: the header of a file that llama-quantize v0.5.0 made of it.
      outputHeaderBytes: 133_430,
    });
  });

  test("counts the layers that llama.cpp's loader makes of the blocks", () => {
    const counted = (arch: string, own: Readonly<Record<string, number>>) => {
      const keys = Object.entries({ block_count: 8, ...own }).map(([key, value]) => [`${arch}.${key}`, value]);
      const { layers, loadedLayers } = readFacts(plainModel({ arch, metadata: Object.fromEntries(keys) }));
      return { layers, loadedLayers };
    };
    expect(counted("nanbeige", { num_loops: 2 })).toEqual({ layers: 8, loadedLayers: 16 });
    expect(counted("nanbeige", { num_loops: 3, nextn_predict_layers: 1 })).toEqual({ layers: 8, loadedLayers: 21 });
    expect(counted("nanbeige", { num_loops: 1 })).toEqual({ layers: 8 });
    expect(counted("graniteswitch", {})).toEqual({ layers: 8, loadedLayers: 9 });
    expect(counted("llama", { num_loops: 2 })).toEqual({ layers: 8 });
  });

  test("takes the first entry of per-layer arrays", () => {
    const metadata = { "x.attention.head_count": [16, 8], "x.attention.head_count_kv": [0, 4] };
    const { heads, kvHeads } = readFacts(plainModel({ arch: "x", metadata }));
    expect([heads, kvHeads]).toEqual([16, 0]);
  });

  test("head_count_kv defaults to head_count", () => {
    expect(readFacts(plainModel({ arch: "x", metadata: { "x.attention.head_count": 12 } })).kvHeads).toBe(12);
  });

  test("reads experts, MTP layers, rank pooling and 64-bit values", () => {
    const facts = readFacts(
      plainModel({
        arch: "qwen3",
        metadata: {
          "qwen3.expert_count": 128,
          "qwen3.block_count": 25n,
          "qwen3.nextn_predict_layers": 1,
          "qwen3.pooling_type": 4,
          "llama.block_count": 99,
        },
      }),
    );
    expect(facts).toMatchObject({ experts: 128, layers: 25, nextnLayers: 1, rankPooling: true });
  });

  test("other pooling is not rank pooling", () => {
    expect(readFacts(plainModel({ arch: "bert", metadata: { "bert.pooling_type": 2 } })).rankPooling).toBe(false);
  });

  test("the vocabulary is counted from the tokens, else from the embedding's rows", () => {
    const tensors = [{ name: "token_embd.weight", shape: [256, 77] }];
    expect(readFacts(plainModel({ tensors })).vocabSize).toBe(77);
    expect(readFacts(plainModel({ tensors, metadata: { "tokenizer.ggml.tokens": ["a", "b"] } })).vocabSize).toBe(2);
  });

  test("a file without an architecture gives zeros", () => {
    expect(readFacts(plainModel({ arch: "", metadata: { ".block_count": "many" } }))).toMatchObject({
      arch: "",
      layers: 0,
      heads: 0,
      kvHeads: 0,
      experts: 0,
      vocabSize: 0,
      contextTrain: 0,
    });
  });
});

describe("outputHeaderBytes", () => {
  const KEY_VALUES: readonly NewKeyValue[] = [
    { key: "general.architecture", type: "string", value: "llama" },
    { key: "a.list", type: { array: "u16" }, value: [1, 2, 3] },
  ];
  const headerOf = async (keyValues: readonly NewKeyValue[], shape: readonly number[] = [32, 4]) => {
    const path = at("header.gguf");
    await writeGguf(path, { keyValues, tensors: [{ name: "blk.0.x.weight", shape, type: "F16" }] });
    return outputHeaderBytes(await open(path));
  };
  // 24 fixed, two copied entries, the two keys set anew, one tensor info.
  const set = 8 + 28 + 4 + 4 + (8 + 17 + 4 + 4);
  const info = 8 + 14 + 4 + 2 * 8 + 4 + 8;
  const expected = 24 + (8 + 20 + 4 + 8 + 5) + (8 + 6 + 4 + 4 + 8 + 6) + set + info;

  test("adds general.quantization_version and general.file_type", async () => {
    expect(await headerOf(KEY_VALUES)).toBe(expected);
  });

  test("replaces them where they are, whatever their type", async () => {
    const present: NewKeyValue[] = [
      { key: "general.quantization_version", type: "u64", value: 2 },
      { key: "general.file_type", type: "u32", value: 1 },
    ];
    expect(await headerOf([...KEY_VALUES, ...present])).toBe(expected);
  });

  test("leaves split.no, split.count and split.tensors.count out, but not other split keys", async () => {
    const split: NewKeyValue[] = [
      { key: "split.no", type: "u16", value: 0 },
      { key: "split.count", type: "u16", value: 1 },
      { key: "split.tensors.count", type: "i32", value: 1 },
    ];
    expect(await headerOf([...KEY_VALUES, ...split])).toBe(expected);
    expect(await headerOf([...KEY_VALUES, { key: "split.else", type: "u8", value: 0 }])).toBe(
      expected + 8 + 10 + 4 + 1,
    );
  });

  test("collapses trailing dimensions of 1, but not the first", async () => {
    expect(await headerOf(KEY_VALUES, [32, 4, 1, 1])).toBe(expected);
    expect(await headerOf(KEY_VALUES, [32, 1])).toBe(expected - 8);
    expect(await headerOf(KEY_VALUES, [1, 1])).toBe(expected - 8);
    expect(await headerOf(KEY_VALUES, [1, 1, 2])).toBe(expected + 8);
  });

  test("drops what follows a NUL in a string, as the copy by llama.cpp does", async () => {
    const clean: NewKeyValue[] = [
      { key: "k", type: "string", value: "abc" },
      { key: "l", type: { array: "string" }, value: ["a", "", "x"] },
    ];
    const dirty: NewKeyValue[] = [
      { key: "k", type: "string", value: "abc\0def" },
      { key: "l", type: { array: "string" }, value: ["a\0bc", "\0", "x"] },
    ];
    expect(await headerOf([...KEY_VALUES, ...dirty])).toBe(await headerOf([...KEY_VALUES, ...clean]));
  });
});

describe("imatrixKeyBytes", () => {
  const imatrix = { file: "/tmp/im.gguf", dataset: "text.txt", entries: 56, chunks: 3 };

  // Measured: headers of files that llama-quantize v0.5.0 made with --imatrix, less those made without.
  test.each([
    [{ ...imatrix, dataset: "", chunks: 0 }, 99],
    [{ ...imatrix, file: `/tmp/${"é".repeat(100)}.gguf`, dataset: "d".repeat(140), chunks: 7 }, 430],
  ])("%o takes what llama-quantize writes", (keys, bytes) => {
    expect(imatrixKeyBytes(keys)).toBe(bytes);
  });

  test("an imatrix without entries adds nothing", () => {
    expect(imatrixKeyBytes({ ...imatrix, entries: 0 })).toBe(0);
  });

  test("keys that the source has already are replaced", async () => {
    const path = at("imatrix-keys.gguf");
    await writeGguf(path, {
      keyValues: [
        { key: "quantize.imatrix.file", type: "string", value: imatrix.file },
        { key: "quantize.imatrix.dataset", type: "string", value: imatrix.dataset },
        { key: "quantize.imatrix.entries_count", type: "i32", value: 56 },
        { key: "quantize.imatrix.chunks_count", type: "u32", value: 9 },
      ],
      tensors: [],
    });
    const model = await open(path);
    expect(imatrixKeyBytes(imatrix, model)).toBe(0);
    expect(imatrixKeyBytes({ ...imatrix, file: `${imatrix.file}++` }, model)).toBe(2);
  });
});
