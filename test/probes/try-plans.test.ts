import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import type { Comparison } from "../../src/probes/meter.ts";
import type { ProbeSite } from "../../src/probes/probe-site.ts";
import { FIRST_LOOK, type ProbeGuard, tryPlans } from "../../src/probes/try-plans.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";
import { paperBench, paperEngine } from "../run/paper-engine.ts";
import { writePaperSource } from "../run/paper-source.ts";

const CHUNKS = 40;
let dir: string;
let source: OpenModel;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-trial-"));
  source = await openLocalModel(await writePaperSource(join(dir, "model.gguf")));
});
afterAll(async () => {
  await source.close();
  await rm(dir, { recursive: true, force: true });
});

/** On paper the plan of more bits is plainly better. */
async function tried(bits: readonly [unrefined: number, refined: number], guard?: ProbeGuard) {
  const analysis = await madeUpAnalysis(source.path);
  const planOf = (value: number) =>
    makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value } });
  const trial = { context: 16, chunks: CHUNKS, ids: new Int32Array(16 * CHUNKS) };
  const comparison: Comparison = {
    isKept: true,
    measure: async (model, chunks) => (await model.score({ tokens: trial, ...chunks })).kld ?? new Float64Array(),
  };
  const site = { text: { trial }, refer: async () => comparison } as unknown as ProbeSite;
  const [unrefined, refined] = bits.map((value, at) => ({ plan: planOf(value), output: join(dir, `${at}.gguf`) }));
  if (unrefined === undefined || refined === undefined) throw new Error("two plans");
  return tryPlans(source, { site, unrefined, refined, guard }, paperBench(paperEngine()));
}

describe("a trial of two plans", () => {
  it("ends after a first look that is plain, for better or worse", async () => {
    const better = await tried([4, 6]);
    expect(better).toMatchObject({ chunks: FIRST_LOOK.chunks });
    expect(better.difference.value).toBeLessThan(0);
    expect(better.p99.difference.value).toBeLessThan(0);
    expect(await tried([6, 4])).toMatchObject({ chunks: FIRST_LOOK.chunks });
  });

  it("looks at all chunks before a plan is kept whose tail is guarded, and no longer at one that is worse", async () => {
    expect(await tried([4, 6], "p99")).toMatchObject({ chunks: CHUNKS });
    expect(await tried([6, 4], "p99")).toMatchObject({ chunks: FIRST_LOOK.chunks });
  });
});
