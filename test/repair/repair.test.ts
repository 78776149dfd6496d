import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Model, ModelFile } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import type { NewKeyValue } from "../../src/gguf/writer.ts";
import { examineModel } from "../../src/preflight/examine-model.ts";
import type { FindingCode } from "../../src/preflight/finding-codes.ts";
import { RERANK_TEMPLATE_KEY } from "../../src/preflight/rerank-prompt.ts";
import { planRepair } from "../../src/repair/repair.ts";
import { writeRepaired } from "../../src/repair/repair-file.ts";
import { DAMAGED, writeEdited } from "../fixtures/damaged.ts";
import { u32 } from "../fixtures/families.ts";
import { RUNNABLE_KINDS, type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-repair-"));
afterAll(() => rm(dir, { recursive: true, force: true }));

async function folder(name: string): Promise<string> {
  const path = join(dir, name);
  await mkdir(path, { recursive: true });
  return path;
}

/** Repair the model at `path`, check that the result needs no repair, and hand both to `see`. */
async function repaired(path: string, see: (before: ModelFile, after: ModelFile) => Promise<void> | void) {
  const before = await openModel(path);
  const plan = planRepair(before.model);
  const target = `${path}.repaired.gguf`;
  await writeRepaired(before, plan, target);
  const after = await openModel(target);
  try {
    expect(planRepair(after.model).changes).toEqual([]);
    await see(before, after);
  } finally {
    await Promise.all([before.close(), after.close()]);
  }
  return plan;
}

async function wrongWith(file: ModelFile): Promise<FindingCode[]> {
  return (await examineModel(file)).filter(({ severity }) => severity !== "info").map(({ code }) => code);
}

async function dataOf(file: ModelFile, name: string): Promise<Uint8Array> {
  const tensor = file.model.tensors.find((tensor) => tensor.name === name);
  if (tensor === undefined) throw new Error(`no ${name}`);
  return file.read(tensor, 0, tensor.bytes);
}

/** Comparing arrays element by element takes vitest minutes. */
async function hashOf(file: ModelFile, name: string): Promise<string> {
  return createHash("sha256")
    .update(await dataOf(file, name))
    .digest("hex");
}

const values = (model: Model, keep: (key: string) => boolean) => [...model.metadata].filter(([key]) => keep(key));
const names = (model: Model) => model.tensors.map(({ name }) => name);

/** Codes whose damaged file is whole again after a repair. */
const MENDED: readonly FindingCode[] = [
  "alignment-not-32",
  "tensor-unknown",
  "key-type",
  "nextn-layers-missing",
  "pooling-type",
  "rank-labels-swapped",
  "rank-bos-eos",
  "special-token-normal",
  "token-kind-rows",
  "rank-head-missing",
  "rank-labels-mismatch",
  "rank-template-missing",
  "rank-pooling-missing",
  "rank-markers-absent",
  "rank-unsupported",
];

describe("hyperparameters", () => {
  it("keep their values in the types that llama.cpp reads", async () => {
    const path = await writeEdited("llama", await folder("hyperparameters"), {
      set: [
        { key: "llama.block_count", type: "i32", value: 4 },
        { key: "llama.context_length", type: "u64", value: 512n },
        { key: "llama.attention.layer_norm_rms_epsilon", type: "f64", value: 1e-5 },
        { key: "general.file_type", type: "string", value: "MOSTLY_F16" },
      ],
    });
    await repaired(path, async (before, after) => {
      expect(await wrongWith(before)).toEqual(["key-type", "key-type", "key-type", "key-type"]);
      expect(await wrongWith(after)).toEqual([]);
      const stored = ["llama.block_count", "llama.context_length", "general.file_type"];
      expect(stored.map((key) => after.model.metadata.get(key))).toEqual([4, 512, 1]);
      expect(stored.map((key) => after.model.keyTypes.get(key)?.type)).toEqual(["u32", "u32", "u32"]);
    });
  });

  it("get a list of another length anew, where the tensors tell its values", async () => {
    const list = (key: string): NewKeyValue => ({ key, type: { array: "u32" }, value: [1, 2, 3] });
    const path = await writeEdited("llama", await folder("lists"), { set: [list("llama.feed_forward_length")] });
    await repaired(path, async (before, after) => {
      expect(await wrongWith(before)).toEqual(["key-length"]);
      expect(await wrongWith(after)).toEqual([]);
      expect(new Set(after.model.metadata.get("llama.feed_forward_length") as number[]).size).toBe(1);
    });
    // the size of a head is not in the file, so heads can't be counted
    const heads = await writeEdited("llama", await folder("heads"), { set: [list("llama.attention.head_count_kv")] });
    const file = await openModel(heads);
    const plan = planRepair(file.model);
    await file.close();
    expect([plan.changes, plan.refusals.map(({ blocking }) => blocking)]).toEqual([[], [true]]);
  });

  it("have no other value made of them", async () => {
    const path = await writeEdited("llama", await folder("no-value"), {
      set: [{ key: "llama.block_count", type: "f32", value: 4.5 }],
    });
    const file = await openModel(path);
    const plan = planRepair(file.model);
    await file.close();
    expect(plan.refusals.some(({ blocking }) => blocking)).toBe(true);
  });

  it("include the file type, by the weights", async () => {
    const path = await writeEdited("llama", await folder("file-type"), { drop: ["general.file_type"] });
    await repaired(path, async (_, after) => {
      expect(after.model.metadata.get("general.file_type")).toBe(1);
    });
  });
});

describe("a tokenizer's keys that llama.cpp refuses for how they are stored", () => {
  const flag = (value: number): NewKeyValue => ({ key: "tokenizer.ggml.add_bos_token", type: "u8", value });
  const eos = (value: number): NewKeyValue => ({ key: "tokenizer.ggml.eos_token_id", type: "i32", value });

  it("keep their values", async () => {
    const path = await writeEdited("qwen3", await folder("key-types"), { set: [eos(256), flag(1)] });
    const plan = await repaired(path, async (before, after) => {
      expect(await wrongWith(before)).toEqual(["tokenizer-key-type"]);
      expect(await wrongWith(after)).toEqual([]);
      expect(after.model.metadata.get("tokenizer.ggml.eos_token_id")).toBe(256);
      expect(after.model.keyTypes.get("tokenizer.ggml.eos_token_id")).toEqual({ type: "u32" });
      expect(after.model.metadata.get("tokenizer.ggml.add_bos_token")).toBe(true);
    });
    expect(plan.refusals).toEqual([]);
  });

  it("are left where they have no such value", async () => {
    const path = await writeEdited("qwen3", await folder("key-values"), { set: [eos(-1), flag(2)] });
    const file = await openModel(path);
    const plan = planRepair(file.model);
    await file.close();
    expect(plan.changes).toEqual([]);
    expect(plan.refusals.map(({ blocking }) => blocking)).toEqual([true, true]);
  });

  it("end as the reranker needs them", async () => {
    const key = "tokenizer.ggml.add_eos_token";
    const path = await writeEdited("qwen35-reranker", await folder("key-rank"), {
      set: [{ key, type: "u32", value: 1 }],
    });
    await repaired(path, (_, after) => expect(after.model.metadata.get(key)).toBe(false));
  });
});

describe("a repair", () => {
  it.each(MENDED)("of %s leaves nothing wrong, and every other key and tensor as it was", async (code) => {
    const plan = await repaired(await DAMAGED[code](await folder(code)), async (before, after) => {
      expect(await wrongWith(after)).toEqual([]);
      const untouched = (key: string) => !plan0.keys.has(key);
      const plan0 = planRepair(before.model);
      expect(values(after.model, untouched)).toEqual(values(before.model, untouched));
      for (const { name, from, rows } of plan0.tensors) {
        if (rows === undefined) expect(await hashOf(after, name)).toBe(await hashOf(before, from.name));
      }
      expect(after.model.metadata.get("prism.repair.changes")).toEqual(plan0.changes);
    });
    expect(plan.changes.length).toBeGreaterThan(0);
  });

  const healthy = RUNNABLE_KINDS.filter((kind) => !/causal|align64/.test(kind));
  it.each(healthy)("of a healthy %s is none", async (kind: RunnableKind) => {
    const file = await openModel(await writeRunnable(kind, dir));
    expect(planRepair(file.model).changes).toEqual([]);
    await file.close();
  });

  it("grafts the head that the converter would have made, from the embedding", async () => {
    const whole = await openModel(await writeRunnable("reranker", dir));
    await repaired(await writeRunnable("causal-reranker", dir), async (_, after) => {
      expect(await hashOf(after, "cls.output.weight")).toBe(await hashOf(whole, "cls.output.weight"));
      const isRank = (key: string) => /pooling_type|output_labels|rerank$/.test(key);
      expect(new Map(values(after.model, isRank))).toEqual(new Map(values(whole.model, isRank)));
    });
    await whole.close();
  });

  it("takes the rows of the LM head where there is one", async () => {
    await repaired(await writeRunnable("causal-reranker-untied", dir), async (before, after) => {
      const tokens = before.model.metadata.get("tokenizer.ggml.tokens") as string[];
      const head = await dataOf(before, "output.weight");
      const row = (word: string) => head.slice(tokens.indexOf(word) * 512, (tokens.indexOf(word) + 1) * 512);
      expect(await dataOf(after, "cls.output.weight")).toEqual(new Uint8Array([...row("yes"), ...row("no")]));
    });
  });

  it("mends a block_count that counts an MTP layer without saying so", async () => {
    const path = await writeEdited("qwen35-reranker", await folder("seed"), { set: [u32("qwen35.block_count", 5)] });
    await repaired(path, async (_, after) => {
      expect(after.model.metadata.get("qwen35.block_count")).toBe(4);
      expect(after.model.metadata.has("qwen35.nextn_predict_layers")).toBe(false);
      expect(await wrongWith(after)).toEqual([]);
    });
  });

  it("cuts hyperparameters given per layer to the layers that are left", async () => {
    const key = "qwen35.attention.head_count_kv";
    const set = [{ key, type: { array: "u32" }, value: [0, 0, 0, 2, 2] } as const];
    const path = await writeEdited("qwen35-mtp", await folder("arrays"), {
      set,
      tensors: (tensors) => tensors.filter(({ name }) => !name.startsWith("blk.4.")),
    });
    await repaired(path, (_, after) => {
      expect(after.model.metadata.get(key)).toEqual([0, 0, 0, 2]);
    });
  });

  it("counts layers that are all there, and their MTP layers", async () => {
    const path = await writeEdited("qwen35-mtp", await folder("more"), {
      drop: ["qwen35.nextn_predict_layers"],
      set: [u32("qwen35.block_count", 4)],
    });
    await repaired(path, async (_, after) => {
      expect(after.model.metadata.get("qwen35.block_count")).toBe(5);
      expect(after.model.metadata.get("qwen35.nextn_predict_layers")).toBe(1);
      expect(await wrongWith(after)).toEqual([]);
    });
  });

  it("renames what a conversion left under its old name, and drops what has none", async () => {
    const path = await writeEdited("qwen3", await folder("names"), {
      tensors: (tensors) => [
        ...tensors.map((tensor) =>
          tensor.name === "output_norm.weight" ? { ...tensor, name: "model.norm.weight" } : tensor,
        ),
        { name: "blk.0.attn_gate.weight", shape: [8], type: "F32", data: new Uint8Array(32) },
      ],
    });
    await repaired(path, async (before, after) => {
      expect(names(after.model)).not.toContain("blk.0.attn_gate.weight");
      expect(await hashOf(after, "output_norm.weight")).toBe(await hashOf(before, "model.norm.weight"));
    });
  });

  it("joins shards into one file", async () => {
    const shards = await openModel(await writeRunnable("split", dir));
    const plan = planRepair({ ...shards.model, alignment: 64 });
    const target = join(dir, "joined.gguf");
    await writeRepaired(shards, plan, target);
    const joined = await openModel(target);
    expect(names(joined.model)).toEqual(names(shards.model));
    expect([...joined.model.metadata.keys()].filter((key) => key.startsWith("split."))).toEqual([]);
    for (const name of names(joined.model)) expect(await hashOf(joined, name)).toBe(await hashOf(shards, name));
    await Promise.all([shards.close(), joined.close()]);
  });

  it("names the rows of an encoder's head, whose order it does not judge", async () => {
    const path = await writeEdited("cross-encoder", await folder("encoder"), { drop: ["bert.pooling_type"] });
    await repaired(path, (_, after) => {
      expect(after.model.metadata.get("bert.pooling_type")).toBe(4);
    });
  });
});

describe("a repair refuses", () => {
  async function refusal(path: string) {
    const file = await openModel(path);
    const plan = planRepair(file.model);
    await file.close();
    expect(plan.changes).toEqual([]);
    return plan.refusals;
  }

  it("to graft a head onto qwen35, with the reason, and is content with the model", async () => {
    const [found] = await refusal(await writeRunnable("qwen35-reranker", dir));
    expect(found).toMatchObject({
      blocking: false,
      reason: expect.stringMatching(/no rank head is grafted.*not for qwen35/),
    });
  });

  it("a count that could mean lost layers", async () => {
    const path = await writeEdited("llama", await folder("lost"), { set: [u32("llama.block_count", 6)] });
    const found = await refusal(path);
    expect(found[0]).toMatchObject({
      blocking: true,
      reason: expect.stringMatching(/block_count is 6, but the file has 4/),
    });
  });

  it("layers missing in between, and weights that are not there", async () => {
    for (const code of ["layer-gap", "tensor-missing"] as const) {
      expect((await refusal(await DAMAGED[code](await folder(code))))[0]?.blocking).toBe(true);
    }
  });

  it("a head for a model whose tokenizer has no yes", async () => {
    const set = [{ key: "general.name", type: "string", value: "some reranker" } as const];
    const found = await refusal(await writeEdited("qwen3", await folder("words"), { set }));
    expect(found[0]?.reason).toMatch(/no token "yes" and no "no"/);
  });

  it("a head for rerankers that are known to score wrong", async () => {
    const set = [{ key: "general.name", type: "string", value: "jina-reranker-v3" } as const];
    const found = await refusal(await writeEdited("causal-reranker", await folder("own"), { set }));
    expect(found[0]).toMatchObject({
      blocking: false,
      reason: expect.stringMatching(/known to score wrong in llama\.cpp/),
    });
  });
});

it("a rerank template keeps its place among the keys", async () => {
  const set = [{ key: RERANK_TEMPLATE_KEY, type: "string", value: "no places" } as const];
  const path = await writeEdited("reranker", await folder("template"), { set });
  await repaired(path, (before, after) => {
    const order = (model: Model) => [...model.metadata.keys()].filter((key) => !key.startsWith("prism."));
    expect(order(after.model)).toEqual(order(before.model));
  });
});
