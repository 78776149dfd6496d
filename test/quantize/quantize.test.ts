import {
  copyFile,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { asideName } from "../../src/disk/aside-file.ts";
import type { Engine, QuantizeJob } from "../../src/engine/engine.ts";
import { EngineError, FileError, FormatError, PrismError, UsageError } from "../../src/errors.ts";
import { isQuantizedType } from "../../src/ggml/tensor-types.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { planImatrix, planSpec, uniformSpec } from "../../src/quantize/plan-spec.ts";
import {
  isQuantized,
  type QuantizedFile,
  type QuantizeRequest,
  type QuantizeSpec,
  quantize as quantizeModel,
} from "../../src/quantize/quantize.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { testBench } from "../bench.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { writePaperSource } from "../run/paper-source.ts";
import { fakeEngine } from "./fake-engine.ts";
import { madeUpAnalysis } from "./made-up-analysis.ts";
import { writeMadeUpImatrix } from "./made-up-imatrix.ts";
import { writePaperModel } from "./paper-model.ts";

let dir: string;
let source: string;
let plan: Plan;
let out: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-quantize-"));
  source = await writeRunnable("llama", dir);
  plan = await planOf(source);
});
afterAll(() => rm(dir, { recursive: true, force: true }));
beforeEach(async () => {
  out = await mkdtemp(join(dir, "out-"));
});

async function planOf(path: string): Promise<Plan> {
  const analysis = await madeUpAnalysis(path);
  return makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "like", fileType: "Q4_K_M" },
  });
}

/** What the engine is asked to write, or with one tensor of a wrong type. */
const writePlanned = (wrong?: string) => (job: QuantizeJob) => {
  const types = plan.tensors.map(({ name, type }) => [name, name === wrong ? "F32" : type] as const);
  return writePaperModel(job.source, job.output, new Map(types));
};

const specTo = (output: string): QuantizeSpec & { readonly source: string } => ({ ...planSpec(plan, output), source });

/** Quantize the model at `source` of a specification. */
async function quantize(
  { source: path, ...spec }: QuantizeSpec & { readonly source: string },
  { engine, ...request }: QuantizeRequest & { readonly engine: Engine },
): Promise<QuantizedFile> {
  const model = await openLocalModel(path);
  return quantizeModel(model, spec, request, testBench(engine, { threads: 2 })).finally(() => model.close());
}

async function failure(promise: Promise<unknown>): Promise<PrismError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof PrismError) return error;
  throw new Error(`expected a PrismError, got ${String(error)}`);
}

describe("quantize", () => {
  it("renames what the engine wrote aside once it is as planned", async () => {
    const engine = fakeEngine(writePlanned());
    const file = await quantize(specTo(join(out, "deep", "model.gguf")), { engine });
    expect(file.fileBytes).toBe(plan.predicted.fileBytes);
    expect(await readdir(join(out, "deep"))).toEqual(["model.gguf"]);
    expect(engine.jobs[0]?.output).toMatch(/\.model\.gguf\.\d+\.\d+-[0-9a-f]{8}\.part$/);
    expect(await isQuantized(specTo(file.path))).toBe(true);
  });

  it("keeps nothing, and what stood there before, when a type is not the planned one", async () => {
    const output = join(out, "model.gguf");
    await writeFile(output, "before");
    const engine = fakeEngine(writePlanned("blk.1.attn_q.weight"));
    const error = await failure(quantize(specTo(output), { engine, force: true }));
    expect(error.code).toBe("verification");
    expect(error.message).toMatch(/blk\.1\.attn_q\.weight is F32, expected \w+; \d+ bytes, expected \d+/);
    expect(await readFile(output, "utf8")).toBe("before");
    expect(await readdir(out)).toEqual(["model.gguf"]);
  });

  it("leaves nothing behind when it is interrupted or the engine fails", async () => {
    for (const thrown of [new DOMException("interrupted", "AbortError"), new EngineError("failed")]) {
      const engine = fakeEngine(async ({ output }) => {
        await writeFile(output, "half");
        throw thrown;
      });
      await expect(quantize(specTo(join(out, "model.gguf")), { engine })).rejects.toBe(thrown);
      expect(await readdir(out)).toEqual([]);
    }
  });

  it("removes what a killed process left of the same file, and leaves a living one's and another machine's", async () => {
    const machine = /-([0-9a-f]{8})\.part$/.exec(asideName("x"))?.[1] ?? "";
    const gone = 4194305; // above the largest process id of Linux
    const dead = `.model.gguf.0.${gone}-${machine}.part`;
    const forgotten = `.model.gguf.0.${gone}-00000000.part`;
    const kept = [
      `.model.gguf.0.${process.ppid}-${machine}.part`,
      `.model.gguf.0.${gone}-11111111.part`,
      ".model.gguf.notes.part",
    ];
    for (const name of [dead, forgotten, ...kept]) await writeFile(join(out, name), "half");
    await utimes(join(out, forgotten), 1, 1);
    await quantize(specTo(join(out, "model.gguf")), { engine: fakeEngine(writePlanned()) });
    expect((await readdir(out)).sort()).toEqual([...kept, "model.gguf"].sort());
  });

  it("refuses an existing output without force", async () => {
    await writeFile(join(out, "model.gguf"), "before");
    const error = await failure(quantize(specTo(join(out, "model.gguf")), { engine: fakeEngine(writePlanned()) }));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toContain("exists already; give --force");
  });

  it("refuses to write over its source, by any name and even with force", async () => {
    const copy = join(out, "source.gguf");
    await copyFile(source, copy);
    await link(copy, join(out, "hardlink.gguf"));
    // Windows lets only administrators make symbolic links.
    const isWindows = process.platform === "win32";
    if (!isWindows) await symlink(copy, join(out, "symlink.gguf"));
    for (const name of ["source.gguf", "hardlink.gguf", ...(isWindows ? [] : ["symlink.gguf"])]) {
      const spec = { ...specTo(join(out, name)), source: copy };
      const engine = fakeEngine(writePlanned());
      const error = await failure(quantize(spec, { engine, force: true }));
      expect(error.message).toContain("would be written over; choose another name");
      expect(engine.jobs).toEqual([]);
    }
  });

  it("refuses a folder, a file in a file, and a folder below a file as the output", async () => {
    await writeFile(join(out, "file"), "");
    await mkdir(join(out, "folder"));
    for (const [path, words] of [
      ["folder", "is a folder"],
      ["file/model.gguf", "a part of the path is a file"],
      ["file/deep/model.gguf", "a part of the path is a file"],
    ] as const) {
      const error = await failure(
        quantize(specTo(join(out, path)), { engine: fakeEngine(writePlanned()), force: true }),
      );
      expect(error).toBeInstanceOf(FileError);
      expect(error.message).toContain(words);
    }
  });

  it("asks for room on the disk before it begins", async () => {
    const engine = fakeEngine(writePlanned());
    const spec = { ...specTo(join(out, "not", "there", "yet.gguf")), expectedBytes: 2 ** 50 };
    const error = await failure(quantize(spec, { engine }));
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toMatch(/needs 1,125,899,906,842,624 bytes.* free; free some/);
    expect(engine.jobs).toEqual([]);
  });

  it("refuses another model than the plan's", async () => {
    const other = await writeRunnable("bf16", dir);
    const error = await failure(
      quantize({ ...specTo(join(out, "model.gguf")), source: other }, { engine: fakeEngine(writePlanned()) }),
    );
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(/is not the model the plan was made for.*--source/);
  });

  it("refuses an architecture that the embedded llama.cpp does not know", async () => {
    const unknown = await writePaperSource(join(out, "unknown.gguf"), 1, true, "zzz");
    const { headerHash: _, ...spec } = specTo(join(out, "model.gguf"));
    const engine = fakeEngine(writePlanned());
    const error = await failure(quantize({ ...spec, source: unknown }, { engine }));
    expect(error.message).toMatch(/does not know the architecture "zzz"; .*--llama-dir/);
    expect(engine.jobs).toEqual([]);
  });

  it("refuses a projector, and a quantized source unless it is allowed", async () => {
    const clip = await writeRunnable("clip", dir);
    const engine = fakeEngine(writePlanned());
    const { headerHash: _, ...spec } = specTo(join(out, "model.gguf"));
    const projector = await failure(quantize({ ...spec, source: clip }, { engine }));
    expect(projector.message).toContain("multimodal projector");
    const quantized = join(out, "quantized.gguf");
    await quantize(specTo(quantized), { engine });
    const again = { ...spec, source: quantized, expectedTypes: uniformSpec(plan, "Q2_K", "").expectedTypes };
    const error = await failure(quantize(again, { engine }));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatch(/is already quantized \(.+ is Q\w+\).*--allow-requantize/);
    const allowed = await failure(quantize(again, { engine, allowRequantize: true }));
    expect(allowed.code).toBe("verification");
  });

  it("tells the engine of another alignment than llama-quantize's", async () => {
    for (const [kind, expected] of [
      ["align64", true],
      ["llama", false],
    ] as const) {
      const path = await writeRunnable(kind, dir);
      const engine = fakeEngine(() => Promise.reject(new EngineError("enough")));
      await failure(quantize({ ...planSpec(await planOf(path), join(out, "model.gguf")), source: path }, { engine }));
      expect(engine.jobs[0]?.fixAlignment).toBe(expected);
    }
  });
});

describe("isQuantized", () => {
  it("is false for nothing, a cut file and a file of other types", async () => {
    const output = join(out, "model.gguf");
    expect(await isQuantized(specTo(output))).toBe(false);
    await quantize(specTo(output), { engine: fakeEngine(writePlanned()) });
    expect(
      await isQuantized({ ...specTo(output), expectedTypes: uniformSpec(plan, "Q4_K", output).expectedTypes }),
    ).toBe(false);
    await truncate(output, plan.predicted.fileBytes - 32);
    expect(await isQuantized(specTo(output))).toBe(false);
  });
});

describe("specifications", () => {
  it("a uniform type names the preset of its own bits, whatever the plan's", () => {
    expect(uniformSpec(plan, "Q6_K", "").fileType).toBe("Q6_K");
    expect(uniformSpec(plan, "Q2_K", "").fileType).toBe("Q2_K");
  });

  it("a uniform type leaves what is not quantized alone, and falls back where rows don't fit", async () => {
    const odd = await planOf(await writeRunnable("odd-rows", dir));
    const { expectedTypes } = uniformSpec(odd, "Q4_K", "");
    expect(expectedTypes.get("blk.0.attn_q.weight")).toBe("Q5_0");
    expect(expectedTypes.get("blk.0.ffn_down.weight")).toBe("F16");
    expect(expectedTypes.get("blk.0.attn_norm.weight")).toBe("F32");
    expect([...expectedTypes.values()].filter(isQuantizedType).every((type) => type === "Q5_0")).toBe(true);
  });
});

describe("the imatrix of a plan", () => {
  it("must be the one the plan was made with", async () => {
    const path = await writeMadeUpImatrix(source, join(out, "imatrix.gguf"));
    const other = await writeMadeUpImatrix(source, join(out, "other.gguf"), ["attn_q"]);
    const model = await openLocalModel(source);
    const identity = { path, sha256: "0".repeat(64), file: "a", dataset: "b", entries: 1, chunks: 1 };
    for (const moved of [undefined, other]) {
      const error = await failure(planImatrix({ ...plan, imatrix: identity }, model, moved));
      expect(error.message).toContain("is not the imatrix the plan was made with");
    }
    expect((await failure(planImatrix(plan, model, path))).message).toContain("made without an importance matrix");
    expect(await planImatrix(plan, model)).toBeUndefined();
    await model.close();
  });
});
