/**
 * Is `prism imatrix` the imatrix of llama-imatrix? Makes both from the same text and compares them value by value:
 * `npx tsx bench/imatrix.ts --llama-dir DIR --text FILE [--chunks N] [--context N] MODEL...`, one thread.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { makeImatrix } from "../src/evaluate/make-imatrix.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { recordResult } from "./results.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "llama-dir": { type: "string" },
    text: { type: "string" },
    chunks: { type: "string", default: "24" },
    context: { type: "string", default: "256" },
  },
});
const { text, "llama-dir": llamaDir } = values;
if (text === undefined || llamaDir === undefined || positionals.length === 0) {
  throw new Error("usage: npx tsx bench/imatrix.ts --llama-dir DIR --text FILE MODEL...");
}

const work = await mkdtemp(join(tmpdir(), "prism-imatrix-bench-"));
try {
  for (const model of positionals) {
    const own = await make(model, "own.gguf");
    const theirs = await make(model, "theirs.gguf", llamaDir);
    const figures = {
      model: basename(model),
      chunks: Number(values.chunks),
      context: Number(values.context),
      tensors: own.importance.size,
      tensorsOfLlamaImatrix: theirs.importance.size,
      sameBytes: (await readFile(own.path)).equals(await readFile(theirs.path)),
      largestRelativeDifference: largestDifference(own.importance, theirs.importance),
    };
    console.log(JSON.stringify(figures));
    await recordResult({ bench: "imatrix", figures });
  }
} finally {
  await rm(work, { recursive: true });
}

async function make(path: string, name: string, dir?: string) {
  const output = join(work, name);
  const request = { output, text, context: Number(values.context), chunks: Number(values.chunks) };
  const model = await openLocalModel(path);
  try {
    const bench = await openBench({ threads: 1, llamaDir: dir });
    await makeImatrix(model, request, bench).finally(() => bench.close());
    return await readImatrix(output);
  } finally {
    await model.close();
  }
}

/** Over all values of both; a tensor or a value that one lacks counts as 1. */
function largestDifference(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  let largest = a.size === b.size ? 0 : 1;
  for (const [name, own] of a) {
    const theirs = b.get(name);
    if (theirs?.length !== own.length) return 1;
    own.forEach((value, index) => {
      const other = theirs[index] as number;
      const scale = Math.max(Math.abs(value), Math.abs(other));
      if (scale > 0) largest = Math.max(largest, Math.abs(value - other) / scale);
    });
  }
  return largest;
}
