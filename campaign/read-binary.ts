/** The binary formats PRISM reads, each with good bytes and everything that is done with what was read. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createLogitsFile, readLogitsFile } from "../src/engine/logits-file.ts";
import { identityOf } from "../src/gguf/identity.ts";
import { openModel } from "../src/gguf/open.ts";
import type { NewKeyValue } from "../src/gguf/writer.ts";
import { checkImatrix } from "../src/imatrix/check.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { examineModel } from "../src/preflight/examine-model.ts";
import { inspect } from "../src/preflight/inspect.ts";
import { planRepair } from "../src/repair/repair.ts";
import { renderInspection } from "../src/report/terminal/inspection-text.ts";
import { blockEngine } from "../test/analyze/model-in-memory.ts";
import { testBench } from "../test/bench.ts";
import { llamaFamily } from "../test/fixtures/families.ts";
import type { Draw } from "./draw.ts";
import { type GgufSeed, generateGguf } from "./generate-gguf.ts";
import { mutateBytes } from "./mutate-bytes.ts";

/** Makes hostile input from a draw and reads it; `folder` is the case's own. */
export interface Reader {
  readonly name: string;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  attack(draw: Draw, folder: string): Promise<void>;
}

const F32 = 0;
const TOKENS = ["<s>", "</s>", "a", "b", "▁", "\u0120x", "<0x0A>", "é"];
const text = (key: string, value: string): NewKeyValue => ({ key, type: "string", value });
const family = llamaFamily({ layers: 1, d: 32, ff: 32, heads: 2, kvHeads: 1 });
const KEYS: readonly NewKeyValue[] = [
  text("general.architecture", family.arch),
  text("general.name", "seed"),
  ...family.keyValues,
  text("tokenizer.ggml.model", "gpt2"),
  { key: "tokenizer.ggml.tokens", type: { array: "string" }, value: TOKENS },
  { key: "tokenizer.ggml.scores", type: { array: "f32" }, value: Float32Array.from(TOKENS, (_, id) => -id) },
  { key: "tokenizer.ggml.token_type", type: { array: "i32" }, value: Int32Array.from(TOKENS, () => 1) },
  { key: "general.alignment", type: "u32", value: 32 },
] as readonly NewKeyValue[];
const TENSORS = family.tensors.map(({ name, shape }) => ({
  name,
  shape: shape.map((n) => Math.min(n, 32)),
  typeId: F32,
}));
const padded = (bytes: number) => Math.ceil(bytes / 32) * 32;
const bytesOf = (tensors: GgufSeed["tensors"]) =>
  tensors.reduce((sum, { shape }) => sum + padded(shape.reduce((a, b) => a * b, 4)), 0);

const MODEL: GgufSeed = { keyValues: KEYS, tensors: TENSORS, dataBytes: bytesOf(TENSORS) };
const IMATRIX_TENSORS = ["blk.0.attn_q.weight", "blk.0.ffn_down.weight"].flatMap((name) => [
  { name: `${name}.in_sum2`, shape: [32, 1], typeId: F32 },
  { name: `${name}.counts`, shape: [1, 1], typeId: F32 },
]);
const IMATRIX: GgufSeed = {
  keyValues: [
    text("general.type", "imatrix"),
    { key: "imatrix.datasets", type: { array: "string" }, value: ["a.txt"] },
    { key: "imatrix.chunk_count", type: "u32", value: 7 },
    { key: "imatrix.chunk_size", type: "u32", value: 16 },
  ],
  tensors: IMATRIX_TENSORS,
  dataBytes: bytesOf(IMATRIX_TENSORS),
};

/** Bytes at the end of a header by far: what follows is data. */
const HEADER_BYTES = 3000;

/** The seed's bytes, damaged as structure or as bytes. */
function damagedGguf(seed: GgufSeed, draw: Draw): Uint8Array {
  if (draw.chance(0.6)) return generateGguf(seed, draw);
  return mutateBytes(generateGguf(seed, { ...draw, chance: () => false }), draw, HEADER_BYTES);
}

/** Keeps nothing. */
export const BENCH = testBench(blockEngine());

async function readModel(path: string): Promise<void> {
  const file = await openModel(path);
  try {
    const findings = await examineModel(file);
    renderInspection(inspect(file.model, findings));
    planRepair(file.model);
    await identityOf(file, BENCH);
  } finally {
    await file.close();
  }
}

const SHARDS = 3;
const shardName = (number: number) => `m-0000${number}-of-0000${SHARDS}.gguf`;

function shardSeed(number: number, draw: Draw): GgufSeed {
  const tensors = TENSORS.filter((_, index) => index % SHARDS === number - 1);
  return {
    keyValues: [
      ...(number === 1 ? KEYS : []),
      { key: "split.no", type: "u16", value: number - 1 },
      { key: "split.count", type: "u16", value: draw.chance(0.05) ? draw.below(65536) : SHARDS },
      { key: "split.tensors.count", type: "i32", value: TENSORS.length },
    ],
    tensors,
    dataBytes: bytesOf(tensors),
  };
}

async function attackShards(draw: Draw, folder: string): Promise<void> {
  const damaged = 1 + draw.below(SHARDS);
  for (let number = 1; number <= SHARDS; number++) {
    const seed = shardSeed(number, draw);
    const bytes = number === damaged ? damagedGguf(seed, draw) : generateGguf(seed, { ...draw, chance: () => false });
    await writeFile(join(folder, shardName(number)), bytes);
  }
  if (draw.chance(0.05)) await rm(join(folder, shardName(1 + draw.below(SHARDS))));
  await readModel(join(folder, shardName(draw.chance(0.95) ? 1 : 2)));
}

function legacyImatrix(): Uint8Array {
  const entry = (name: string) => {
    const head = Buffer.from(`\0\0\0\0${name}\0\0\0\0\0\0\0\0`);
    head.writeInt32LE(name.length);
    head.writeInt32LE(3, 4 + name.length);
    head.writeInt32LE(32, 8 + name.length);
    return Buffer.concat([head, Buffer.from(Float32Array.from({ length: 32 }, (_, i) => i).buffer)]);
  };
  const [count, tail] = [Buffer.alloc(4), Buffer.from("\x07\0\0\0\x05\0\0\0a.txt")];
  count.writeInt32LE(2);
  return Buffer.concat([count, entry("blk.0.attn_q.weight"), entry("blk.0.ffn_down.weight"), tail]);
}

async function attackImatrix(bytes: Uint8Array, folder: string): Promise<void> {
  const path = join(folder, "imatrix");
  await writeFile(path, bytes);
  const imatrix = await readImatrix(path);
  const model = join(folder, "of.gguf");
  await writeFile(model, generateGguf(MODEL, NO_DAMAGE));
  const file = await openModel(model);
  try {
    checkImatrix(imatrix, file.model);
  } finally {
    await file.close();
  }
}

const NO_DAMAGE: Draw = { real: () => 0, below: () => 0, chance: () => false, pick: (items) => items[0] as never };

async function attackLogits(draw: Draw, folder: string): Promise<void> {
  const path = join(folder, "x.logits");
  const [context, chunks, vocab] = [4, 2, 8];
  await createLogitsFile(path, { context, chunks, ids: Int32Array.from({ length: 8 }, (_, i) => i) }, vocab);
  const whole = Buffer.concat([await readFile(path), Buffer.alloc(200)]);
  await writeFile(path, mutateBytes(whole, draw, 52));
  await readLogitsFile(path);
}

export const BINARY_READERS: readonly Reader[] = [
  {
    name: "GGUF",
    weight: 8,
    async attack(draw, folder) {
      const path = join(folder, "m.gguf");
      await writeFile(path, damagedGguf(MODEL, draw));
      await readModel(path);
    },
  },
  { name: "GGUF in shards", weight: 2, attack: attackShards },
  { name: "imatrix, GGUF", weight: 2, attack: (draw, folder) => attackImatrix(damagedGguf(IMATRIX, draw), folder) },
  {
    name: "imatrix, .dat",
    weight: 2,
    attack: (draw, folder) => attackImatrix(mutateBytes(legacyImatrix(), draw), folder),
  },
  { name: "logits", weight: 2, attack: attackLogits },
];

/** That the seeds are good: a fuzzer whose seeds are refused at the first byte tests nothing. */
export async function checkBinarySeeds(folder: string): Promise<void> {
  const path = join(folder, "seed.gguf");
  await writeFile(path, generateGguf(MODEL, NO_DAMAGE));
  await readModel(path);
  await attackImatrix(generateGguf(IMATRIX, NO_DAMAGE), folder);
  await attackImatrix(legacyImatrix(), folder);
}
