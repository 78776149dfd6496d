import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import type { Engine, LoadVerdict } from "../../src/engine/engine.ts";
import { checkedModel } from "../../src/intake/checked-model.ts";
import { plan } from "../../src/verbs/plan.ts";
import { quantizePlan } from "../../src/verbs/quantize.ts";
import { blockEngine } from "../analyze/model-in-memory.ts";
import { testBench } from "../bench.ts";
import { DAMAGED, writeTwinTokens } from "../fixtures/damaged.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-engine-findings-"));
afterAll(() => rm(dir, { recursive: true, force: true }));

const REFUSES: LoadVerdict = { loads: false, why: "no such thing", aborted: false };

/** A bench whose engine says this of every model; `asked` collects what it was asked. */
function benchThatSays(verdict: LoadVerdict, asked: string[] = []): Bench {
  const engine = blockEngine();
  const { library } = engine;
  if (library === undefined) throw new Error("no library");
  const tryLoad = async ({ model, decode }: { model: string; decode: boolean }) => {
    asked.push(`${model} ${decode}`);
    return verdict;
  };
  return testBench({ ...engine, library: { ...library, tryLoad } } as Engine);
}

describe("the engine's opinion before the work", () => {
  it("is asked of a model without an error, by its header, and stops the work where it refuses", async () => {
    const path = await writeRunnable("llama", dir);
    const asked: string[] = [];
    await expect(checkedModel(path, {}, benchThatSays(REFUSES, asked))).rejects.toMatchObject({
      code: "format",
      finding: "engine-refuses",
      message: expect.stringMatching(
        /refuses the file: no such thing; .*prism repair can't mend it.*--force-findings$/,
      ),
    });
    expect(asked).toEqual([`${path} false`]);
  });

  it("is a finding that --strict counts, and one that can be overruled", async () => {
    const path = await writeRunnable("llama", dir);
    const bench = benchThatSays({ ...REFUSES, aborted: true });
    await expect(checkedModel(path, { strict: true }, bench)).rejects.toMatchObject({ code: "gate" });
    const forced = await checkedModel(path, { forceFindings: true }, bench);
    await forced.model.close();
    expect(forced.forced).toBe(true);
    expect(forced.warnings.join()).toMatch(/ends its process on the file: no such thing.*--force-findings: going on/);
  });

  it("is not asked where preflight knows already, which stops the work too", async () => {
    const asked: string[] = [];
    await expect(
      checkedModel(await DAMAGED["tensor-unknown"](dir), {}, benchThatSays(REFUSES, asked)),
    ).rejects.toMatchObject({
      finding: "tensor-unknown",
      message: expect.stringContaining("prism repair can mend it"),
    });
    await expect(
      checkedModel(await DAMAGED["tensor-missing"](dir), {}, benchThatSays(REFUSES, asked)),
    ).rejects.toMatchObject({
      finding: "tensor-missing",
      message: expect.stringContaining("prism repair can't mend it"),
    });
    expect(asked).toEqual([]);
  });

  it("is not asked of the programs of another build", async () => {
    const bench = benchThatSays(REFUSES);
    const programs = { perplexity: () => Promise.reject(), imatrix: () => Promise.reject() };
    const checked = await checkedModel(
      await writeRunnable("llama", dir),
      {},
      { ...bench, engine: { ...bench.engine, programs } },
    );
    await checked.model.close();
    expect(checked.forced).toBe(false);
  });
});

describe("the embedded engine", () => {
  it("refuses what preflight does not know, and a quantized file that does not load is not kept", async () => {
    const { openBench } = await import("../../src/open-bench.ts");
    const bench = await openBench({ threads: 1, gpuLayers: 0, backend: "reference", cacheDir: "none" });
    try {
      const path = await DAMAGED["engine-refuses"](dir);
      const request = { bpw: 5 };
      const open = async () => bench;
      const note = () => undefined;
      await expect(plan(path, request, open, note)).rejects.toMatchObject({
        finding: "engine-refuses",
        message: expect.stringContaining("refuses the file: Invalid deepstack index"),
      });
      const twins = await writeTwinTokens(dir);
      const forced = await plan(twins, { ...request, forceFindings: true }, open, note);
      const output = join(dir, "out", "made.gguf");
      await expect(quantizePlan(forced, { output }, bench)).rejects.toMatchObject({ code: "format" });
      const made = await quantizePlan(forced, { output, forceFindings: true }, bench);
      expect(made.verified).toMatchObject({ loaded: "refused", why: expect.stringContaining("GGML_ASSERT") });

      // a source that loads, of a file that doesn't: what the last proof is for
      const good = await writeRunnable("llama", dir);
      const sound = await plan(good, request, open, note);
      const { library } = bench.engine;
      if (library === undefined) throw new Error("no library");
      const said = async ({ decode }: { decode: boolean }): Promise<LoadVerdict> =>
        decode ? REFUSES : { loads: true };
      const doubting = { ...bench, engine: { ...bench.engine, library: { ...library, tryLoad: said } } as Engine };
      const refused = join(dir, "refused", "made.gguf");
      await expect(quantizePlan(sound, { output: refused }, doubting)).rejects.toMatchObject({
        code: "verification",
        message: expect.stringMatching(/llama\.cpp does not load the quantized file: no such thing\. It was not kept/),
      });
      expect(await readdir(join(dir, "refused"))).toEqual([]);
      const proven = await quantizePlan(sound, { output: refused }, bench);
      expect(proven.verified).toEqual({ tensors: 39, fileBytes: proven.fileBytes, loaded: "decoded" });
    } finally {
      await bench.close();
    }
  });
});
