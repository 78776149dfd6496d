/**
 * Vectors of texts here and from a llama-server of the same version, over the 128 texts that come with PRISM: the random
 * models of test/fixtures that embed, at f16 and at f32, and models that are named.
 * `npx tsx bench/embedding-equality.ts --server-bin PATH [--model FILE …] [--threads 1] [--record]` (after `npm run build`).
 *
 * Both sides give vectors of length 1. With one slot a text is decoded by itself, as here; with the server's default, 4
 * slots that share a batch, its neighbours move what is added up.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import type { Bench } from "../src/bench.ts";
import { cosine, openEmbedder } from "../src/embed/embedder.ts";
import { readRetrievalSet } from "../src/embed/retrieval-set.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { writeRunnable } from "../test/fixtures/runnable.ts";
import { askJson, serverProgram, withLlamaServer } from "./llama-server.ts";
import { recordResult } from "./results.ts";

const KINDS = ["embedder", "qwen3-embedder"] as const;
const SOURCE_TYPES = ["F16", "F32"] as const;
const FLAGS = [["--parallel", "1"], []] as const;

const { values } = parseArgs({
  options: {
    "server-bin": { type: "string" },
    model: { type: "string", multiple: true, default: [] },
    threads: { type: "string", default: "1" },
    record: { type: "boolean", default: false },
  },
});
const program = serverProgram(values["server-bin"]);
if (program !== undefined) await compareAll(program, Number(values.threads));

async function compareAll(server: string, threads: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "prism-equality-"));
  const bench = await openBench({ threads });
  const set = await readRetrievalSet();
  const texts = [...set.queries.map(({ query }) => query), ...set.documents];
  const figures: Record<string, Difference> = {};
  try {
    console.log(`${texts.length} texts each, llama-server ${server}\n`);
    const made = KINDS.flatMap((kind) => SOURCE_TYPES.map((sourceType) => writeRunnable(kind, dir, { sourceType })));
    for (const model of [...(await Promise.all(made)), ...values.model]) {
      const here = await vectorsHere(model, texts, bench);
      for (const flags of FLAGS) {
        const there = await withLlamaServer(
          { program: server, model, threads, flags: ["--embedding", ...flags] },
          (at) => vectorsThere(at, texts),
        );
        const label = [basename(model), ...flags].join(" ");
        const { component, cosineLoss } = compare(here, there);
        figures[label] = { component, cosineLoss };
        console.log(
          `${label.padEnd(40)} max |component| ${component.toExponential(1)}, 1 − cosine ${cosineLoss.toExponential(1)}`,
        );
      }
    }
    if (values.record)
      console.log(
        `added to ${await recordResult({ bench: "embedding-equality", figures: { texts: texts.length, difference: figures } })}`,
      );
  } finally {
    await bench.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function vectorsHere(path: string, texts: readonly string[], bench: Bench): Promise<Float32Array[]> {
  const open = await openLocalModel(path);
  const embedder = await openEmbedder(open, {}, bench);
  try {
    return (await embedder.embed(texts)).map(({ vector }) => vector);
  } finally {
    await embedder.close();
    await open.close();
  }
}

async function vectorsThere(address: string, texts: readonly string[]): Promise<Float32Array[]> {
  const reply = (await askJson(`${address}/v1/embeddings`, { input: texts })) as {
    readonly data: readonly { readonly index: number; readonly embedding: readonly number[] }[];
  };
  const vectors: Float32Array[] = [];
  for (const { index, embedding } of reply.data) vectors[index] = Float32Array.from(embedding);
  return vectors;
}

/** The largest over all texts. */
interface Difference {
  /** Of a component. */
  readonly component: number;
  /** 1 − cosine. */
  readonly cosineLoss: number;
}

function compare(here: readonly Float32Array[], there: readonly Float32Array[]): Difference {
  const differences = here.map((vector, text) => {
    const other = there[text] ?? new Float32Array();
    const component = vector.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - (other[at] ?? Number.NaN))),
      0,
    );
    return { component, cosineLoss: 1 - cosine(vector, other) };
  });
  return {
    component: Math.max(...differences.map(({ component }) => component)),
    cosineLoss: Math.max(...differences.map(({ cosineLoss }) => cosineLoss)),
  };
}
