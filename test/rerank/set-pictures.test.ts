import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readRetrievalSet } from "../../src/embed/retrieval-set.ts";
import { FormatError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { readRerankSet, summarizeSet } from "../../src/rerank/rerank-set.ts";
import { refusePictures } from "../../src/rerank/sight.ts";
import { barChart, gradient, pngOf } from "../fixtures/pictures.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

/** The least headers of 640×480. */
const JPEG = Buffer.from(
  "ffd8ffe000104a46494600010100000100010000ffc0001108 01e0 0280 03012200021101031101ffd9".replaceAll(" ", ""),
  "hex",
);
const WEBP = Buffer.concat([
  Buffer.from("RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0", "latin1"),
  Buffer.from("000000007f0200df0100", "hex"),
]);
const CHART = barChart(96, 64, [0.2, 0.9, 0.5]);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-pictures-"));
  await mkdir(join(dir, "charts"));
  await writeFile(join(dir, "charts", "bars.png"), CHART);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function setOf(...lines: unknown[]): Promise<string> {
  const path = join(dir, "set.jsonl");
  await writeFile(path, lines.map((line) => JSON.stringify(line)).join("\n"));
  return path;
}

async function modelAt(path: string) {
  const open = await openModel(path);
  await open.close();
  return open;
}

const ofImage = (image: string) => ({ query: "q", documents: ["a", { image }] });

describe("pictures of a set", () => {
  it("are read from the set's folder, and known by their file's name and size", async () => {
    const bars = { image: "charts/bars.png" };
    const path = await setOf(
      { query: "q", documents: ["a", bars, { ...bars, text: "sales" }] },
      { query: bars, documents: ["b"] },
    );
    const set = await readRerankSet(path);
    const picture = { base64: CHART.toString("base64"), width: 96, height: 64, name: "bars.png" };
    expect(set.queries).toEqual([
      { query: "q", documents: ["a", { picture }, { picture, text: "sales" }] },
      { query: { picture }, documents: ["b"] },
    ]);
    expect(summarizeSet(set).queries).toEqual([
      { query: "q", documents: ["a", "bars.png 96×64", "bars.png 96×64: sales"] },
      { query: "bars.png 96×64", documents: ["b"] },
    ]);
  });

  it.each([
    ["JPEG", JPEG],
    ["WebP", WEBP],
  ])("may be %s", async (_, bytes) => {
    await writeFile(join(dir, "picture"), bytes);
    const { queries } = await readRerankSet(await setOf(ofImage("picture")));
    expect(queries[0]?.documents[1]).toMatchObject({ picture: { width: 640, height: 480 } });
  });

  it("are part of what the set is: another picture, another set", async () => {
    const path = await setOf(ofImage("changing.png"));
    const sums = [];
    for (const colour of [
      [255, 0, 0],
      [0, 255, 0],
    ] as const) {
      await writeFile(join(dir, "changing.png"), gradient(32, 32, colour));
      sums.push((await readRerankSet(path)).sha256);
    }
    expect(sums[0]).not.toBe(sums[1]);
  });

  it.each<[string, Buffer | string, RegExp]>([
    ["no picture", "#!/bin/sh\nrm -rf x", /is no PNG, JPEG or WebP picture/],
    ["an empty file", "", /is no PNG, JPEG or WebP/],
    ["a GIF", Buffer.from("GIF89a\x01\0\x01\0\x80\0\0", "latin1"), /is no PNG, JPEG or WebP/],
    ["a PNG's first bytes", CHART.subarray(0, 20), /is no PNG, JPEG or WebP/],
    ["half a PNG", CHART.subarray(0, CHART.length / 2), /hostile is cut off/],
    ["half a JPEG", JPEG.subarray(0, -2), /hostile is cut off/],
    ["half a WebP", WEBP.subarray(0, -4), /is cut off|is no PNG/],
    ["a bomb", pngOf(50_000, 50_000, Buffer.alloc(100)), /is 50000×50000, more than the 67108864 pixels/],
    ["a size of 2³²", pngOf(0xffffffff, 0xffffffff, Buffer.alloc(9)), /more than the 67108864 pixels/],
    ["no height", pngOf(20, 0, Buffer.alloc(9)), /says that it is 20×0 pixels/],
    ["a thread", pngOf(10_000, 2, Buffer.alloc(9)), /more than 200 times as long as wide/],
    [
      "zeros after a JPEG's first bytes",
      Buffer.concat([Buffer.of(0xff, 0xd8, 0xff, 0xe0), Buffer.alloc(5e6)]),
      /is no PNG/,
    ],
  ])("are refused with file and line: %s", async (_, bytes, message) => {
    await writeFile(join(dir, "hostile"), bytes);
    const reading = readRerankSet(await setOf({ query: "q", documents: ["a"] }, ofImage("hostile")));
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(/set\.jsonl: line 2: documents\[1\]\.image: /);
    await expect(reading).rejects.toThrow(FormatError);
  });

  it.each<[unknown, RegExp]>([
    [ofImage("absent.png"), /line 1: documents\[1\]\.image: .*absent\.png: no such file/],
    [ofImage("charts"), /documents\[1\]\.image: .*charts: is a folder/],
    [ofImage(`data:image/png;base64,${CHART.toString("base64")}`), /expected the path of a picture, got a data URL/],
    [{ query: { image: "absent.png" }, documents: ["a"] }, /line 1: query\.image: .*no such file/],
    [{ query: "q", documents: [{ text: "t" }] }, /documents\[0\]\.image: expected text, got nothing/],
    [{ query: "q", documents: [{ image: 5 }] }, /documents\[0\]\.image: expected text, got 5/],
    [{ query: "q", documents: [{ image: "x", text: " " }] }, /documents\[0\]\.text: expected text that is not empty/],
  ])("are refused: %j", async (line, message) => {
    await expect(readRerankSet(await setOf(line))).rejects.toThrow(message);
  });

  it("are not embedded", async () => {
    await expect(readRetrievalSet(await setOf(ofImage("charts/bars.png")))).rejects.toThrow(/only texts are embedded/);
  });

  it("need a llama-server, whose command is said with the projector that lies beside the model", async () => {
    const set = await readRerankSet(await setOf(ofImage("charts/bars.png")));
    const { model } = await modelAt(await writeRunnable("causal-qwen3vl-reranker", dir));
    await expect(refusePictures(set, model)).rejects.toThrow(
      /set\.jsonl has images, .*"llama-server -m \S+causal-qwen3vl-reranker\.gguf --mmproj MMPROJ".*--server URL/,
    );
    await writeFile(join(dir, "mmproj-causal-qwen3vl-reranker.gguf"), "");
    await expect(refusePictures(set, model)).rejects.toThrow(/--mmproj MMPROJ/);
    const made = await mkdtemp(join(dir, "made-"));
    await rename(await writeRunnable("qwen3vl-mmproj", made), join(dir, "mmproj-causal-qwen3vl-reranker.gguf"));
    await expect(refusePictures(set, model)).rejects.toThrow(/--mmproj \S+mmproj-causal-qwen3vl-reranker\.gguf/);
    await expect(refusePictures(await readRerankSet(), model)).resolves.toBeUndefined();
    const head = await modelAt(await writeRunnable("qwen3vl-reranker", dir));
    await expect(refusePictures(set, head.model)).rejects.toThrow(/--mmproj MMPROJ --reranking"/);
  });
});
