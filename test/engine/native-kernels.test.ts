/** The C++ of the engine's child against its TypeScript, in this process: every instruction set there is. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { afterAll, describe, expect, it } from "vitest";
import { NOT_DRAWN } from "../../src/engine/child/draw-token.ts";
import { drawTokens, nativeTokenDrawer } from "../../src/engine/child/draw-tokens.ts";
import { openEngineKernels } from "../../src/engine/child/engine-kernels.ts";
import { openLlamaLibrary } from "../../src/engine/child/llama-library.ts";
import { recordLength } from "../../src/engine/child/log-softmax.ts";
import { nativeRoundTrip } from "../../src/engine/child/native-round-trip.ts";
import { nativeScoreRows } from "../../src/engine/child/native-score-rows.ts";
import { roundTrip } from "../../src/engine/child/round-trip.ts";
import { type ScoreTask, scoreRows } from "../../src/engine/child/score-rows.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { RoundTripJob } from "../../src/engine/engine.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import { rowBytes } from "../../src/ggml/tensor-types.ts";
import { createNormal, createRandom } from "../../src/random.ts";
import { drawWeights, encodeFloats } from "../fixtures/weights.ts";
import { heldBackLibraries, ISAS } from "./instruction-sets.ts";
import { writeSmallModel } from "./small-model.ts";

const llama = openLlamaLibrary(findEnginePackage());
const problem = await openEngineKernels(llama).then((found) => (typeof found === "string" ? found : undefined));
const folder = mkdtempSync(join(tmpdir(), "prism-engine-kernels-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const libraryFor = heldBackLibraries();

function scoreTask(rows: readonly Float32Array[], targets: readonly number[], sequences = 1): ScoreTask {
  const vocabSize = rows[0]?.length ?? 0;
  const rowsPerSequence = rows.length / sequences;
  const scoredPerSequence = rowsPerSequence - 1;
  const scored = sequences * scoredPerSequence;
  return {
    mode: "nll",
    logits: hold(Float32Array.from(rows.flatMap((row) => [...row]))),
    vocabSize,
    sequences,
    rowsPerSequence,
    scoredPerSequence,
    targets: Int32Array.from({ length: scored }, (_, at) => targets[at % targets.length] ?? 0),
    nll: new Float64Array(scored),
    referenceNll: new Float64Array(scored),
    kld: new Float64Array(scored),
    sameTop: new Uint8Array(scored),
    records: new Uint16Array(scored * recordLength(vocabSize)).fill(9),
  };
}

/** Arrays whose addresses tasks carry. */
const held: Float32Array[] = [];
function hold(array: Float32Array): bigint {
  held.push(array);
  return koffi.address(array);
}

function drawRows(seed: number, count: number, length: number, deviation: number): Float32Array[] {
  const normal = createNormal(createRandom(seed));
  return Array.from({ length: count }, () => Float32Array.from({ length }, () => deviation * normal()));
}

type Score = (task: ScoreTask) => void;

/** Records and scores of rows against the records of others. */
function scored(score: Score, rows: readonly Float32Array[], references: readonly Float32Array[], sequences = 1) {
  const reference = scoreTask(references, [0, 1], sequences);
  score({ ...reference, mode: "encode" });
  const task = { ...scoreTask(rows, [0, 1], sequences), records: reference.records as Uint16Array };
  score({ ...task, mode: "compare" });
  const alone = scoreTask(rows, [0, 1], sequences);
  score(alone);
  const { nll, referenceNll, kld, sameTop } = task as Required<ScoreTask>;
  return { records: reference.records, encodedNll: reference.nll, nll, referenceNll, kld, sameTop, alone: alone.nll };
}

function expectSameScores(native: Score, rows: readonly Float32Array[], references: readonly Float32Array[]): void {
  const expected = scored((task) => scoreRows(task, 0, 1), rows, references);
  const found = scored(native, rows, references);
  expect(found.records).toEqual(expected.records);
  expect(found.sameTop).toEqual(expected.sameTop);
  for (const name of ["encodedNll", "nll", "referenceNll", "kld", "alone"] as const) {
    for (const [at, value] of expected[name].entries()) {
      // A divergence is what is left of terms of either sign.
      if (Number.isFinite(value)) expect(Math.abs((found[name][at] as number) - value)).toBeLessThan(1e-11);
      else expect(found[name][at]).toBe(value);
    }
  }
}

describe.skipIf(problem !== undefined)(
  `native kernels of the engine${problem === undefined ? "" : `: ${problem}`}`,
  () => {
    describe.each(ISAS)("%s", (isa) => {
      const native = (): Score => {
        const library = libraryFor(isa);
        return (task) => nativeScoreRows(library, task, 1);
      };

      it.each([2, 3, 15, 16, 17, 511, 512, 513, 4099])("scores a vocabulary of %i as TypeScript does", (vocabSize) => {
        for (const deviation of [0.02, 2, 9, 200]) {
          const rows = drawRows(1, 4, vocabSize, deviation);
          const noise = drawRows(2, 4, vocabSize, deviation / 5);
          const others = rows.map((row, at) => row.map((x, i) => x + (noise[at]?.[i] as number)));
          expectSameScores(native(), others, rows);
        }
      });

      it("scores −∞, equal logits and ties as TypeScript does", () => {
        const masked = drawRows(3, 2, 700, 3);
        for (const at of [0, 1, 16, 699]) (masked[0] as Float32Array)[at] = Number.NEGATIVE_INFINITY;
        const flat = [new Float32Array(700).fill(-2), new Float32Array(700).fill(5)];
        const tied = [700, 600].map((last) => Float32Array.from({ length: 700 }, (_, i) => (i % 50 === 7 ? last : 1)));
        for (const rows of [masked, flat, tied])
          for (const others of [masked, flat, tied]) expectSameScores(native(), rows, others);
      });

      it("gives NaN wherever a logit is NaN or +∞", () => {
        for (const place of [0, 1, 16, 300, 699]) {
          for (const damage of [Number.NaN, Number.POSITIVE_INFINITY]) {
            const damaged = drawRows(4, 2, 700, 1).map((row) => row.fill(damage, place, place + 1));
            const found = scored(native(), damaged, drawRows(5, 2, 700, 1));
            expect([found.nll[0], found.kld[0], found.alone[0]]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
            expect(scored(native(), drawRows(5, 2, 700, 1), damaged).referenceNll[0]).toBeNaN();
          }
        }
      });
    });

    it.each(ISAS)("draws the tokens that TypeScript draws, and none from damaged rows: %s", (isa) => {
      for (const vocabSize of [3, 1023, 1025, 5000]) {
        const rows = [...drawRows(8, 9, vocabSize, 3), ...drawRows(9, 3, vocabSize, 40)];
        (rows[1] as Float32Array)[vocabSize - 1] = Number.NaN;
        (rows[2] as Float32Array)[0] = Number.POSITIVE_INFINITY;
        (rows[3] as Float32Array).fill(Number.NEGATIVE_INFINITY, 0, vocabSize - 2);
        (rows[4] as Float32Array).fill(Number.NEGATIVE_INFINITY);
        const logits = hold(Float32Array.from(rows.flatMap((row) => [...row])));
        const random = createRandom(10);
        for (let round = 0; round < 20; round++) {
          const uniforms = Float64Array.from(rows, () => random());
          const expected = drawTokens(logits, vocabSize, uniforms);
          expect(nativeTokenDrawer(libraryFor(isa), 2)(logits, vocabSize, uniforms)).toEqual(expected);
          expect([...expected.subarray(1, 3), expected[4]]).toEqual([NOT_DRAWN, NOT_DRAWN, NOT_DRAWN]);
        }
      }
    });

    it("finds the scored rows of several sequences, the same on any number of threads", () => {
      const library = libraryFor("widest");
      const [rows, others] = [drawRows(6, 21, 333, 2), drawRows(7, 21, 333, 2)];
      const expected = scored((task) => nativeScoreRows(library, task, 1), rows, others, 3);
      expect(scored((task) => nativeScoreRows(library, task, 4), rows, others, 3)).toEqual(expected);
      const plain = scored((task) => scoreRows(task, 0, 1), rows, others, 3);
      expect(expected.records).toEqual(plain.records);
      expect(expected.sameTop).toEqual(plain.sameTop);
      for (const [at, kld] of plain.kld.entries()) expect(expected.kld[at]).toBeCloseTo(kld, 11);
    });

    const COLUMNS = 512;
    const weights = drawWeights([COLUMNS, 150], 0.02, 3);
    const importance = Float32Array.from({ length: COLUMNS }, (_, at) => 0.2 + (at % 7));
    const quantized = new Uint8Array(rowBytes("Q8_0", COLUMNS) * 150);
    llama.quantizeChunk(8, weights, quantized, 0, 150, COLUMNS, null);
    const types = ["Q8_0", "Q4_K", "Q6_K", "IQ4_XS", "F16", "BF16", "F32"] as const;
    const jobs: readonly (readonly [string, RoundTripJob])[] = [
      ...(["F32", "F16", "BF16"] as const).map((sourceType): readonly [string, RoundTripJob] => [
        `of ${sourceType}`,
        { sourceType, rowElements: COLUMNS, data: encodeFloats(sourceType, weights), bandRows: 64, types },
      ]),
      ["of Q8_0", { sourceType: "Q8_0", rowElements: COLUMNS, data: quantized, bandRows: 7, types }],
      [
        "weighted",
        {
          sourceType: "F32",
          rowElements: COLUMNS,
          data: encodeFloats("F32", weights),
          bandRows: 99,
          types,
          importance,
        },
      ],
      [
        "of no type",
        { sourceType: "F32", rowElements: 75, data: encodeFloats("F32", weights), bandRows: 1000, types: [] },
      ],
    ];

    it.each(jobs)("round trips %s as TypeScript does", async (_, job) => {
      const expected = roundTrip(llama, job);
      for (const isa of ISAS) {
        const found = await nativeRoundTrip(libraryFor(isa), llama, job);
        expect(Object.keys(found.error)).toEqual(Object.keys(expected.error));
        expect(found.nonFinite).toBe(0);
        expectClose(found.power, expected.power);
        for (const type of job.types) expectClose(found.error[type], expected.error[type]);
      }
    });

    it("counts weights that are not finite and quantizes none after them", async () => {
      const damaged = weights.slice();
      for (const at of [0, 513, 514, 70_000]) damaged[at] = at % 2 === 0 ? Number.NaN : Number.NEGATIVE_INFINITY;
      const job: RoundTripJob = {
        sourceType: "F32",
        rowElements: COLUMNS,
        data: encodeFloats("F32", damaged),
        bandRows: 10,
        types: ["Q4_K"],
      };
      const found = await nativeRoundTrip(libraryFor("baseline"), llama, job);
      expect(found.nonFinite).toBe(4);
      expect(found.error.Q4_K?.every((error) => error === 0)).toBe(true);
      expectClose(found.power, roundTrip(llama, job).power);
    });

    it("refuses what TypeScript refuses", async () => {
      const library = libraryFor("baseline");
      const [, job] = jobs[0] as (typeof jobs)[number];
      const refusals: readonly (readonly [Partial<RoundTripJob>, RegExp])[] = [
        [{ data: job.data.subarray(1) }, /not whole rows/],
        [{ bandRows: 0 }, /bands of 0 rows/],
        [{ importance: importance.subarray(1) }, /importance of 511/],
        [{ sourceType: "I32" }, /no way to read I32/],
        [{ types: ["I8"] }, /no way to read I8/],
      ];
      for (const [change, message] of refusals) {
        await expect(nativeRoundTrip(library, llama, { ...job, ...change })).rejects.toThrow(message);
        expect(() => roundTrip(llama, { ...job, ...change })).toThrow(message);
      }
    });
  },
);

it("the engine gives the same with and without them", async () => {
  const path = await writeSmallModel(folder, "small");
  const random = createRandom(1);
  const tokens = { context: 64, chunks: 8, ids: Int32Array.from({ length: 512 }, () => Math.floor(random() * 256)) };
  const run = async () => {
    const engine = await openEmbeddedEngine({ threads: 2 });
    const model = await engine.library.load({ model: path, context: 64, threads: 2, gpuLayers: 0 });
    const scores = await model.score({ tokens, first: 0, count: 8, reference: { loaded: model } });
    const data = encodeFloats("F16", drawWeights([64, 40], 0.02, 5));
    const job = { sourceType: "F16", rowElements: 64, data, bandRows: 16, types: ["Q8_0"] } as const;
    const { power, error } = await engine.library.roundTrip(job);
    await model.close();
    await engine.close();
    return { scores, power, error };
  };
  const native = await run();
  process.env.PRISM_ISA = "none";
  const plain = await run();
  expectClose(native.power, plain.power);
  expectClose(native.error.Q8_0, plain.error.Q8_0);
  expect(native.scores.sameTop).toEqual(plain.scores.sameTop);
  expectClose(native.scores.nll, plain.scores.nll);
  expectClose(native.scores.referenceNll, plain.scores.referenceNll);
});

it("says that the library is switched off", async () => {
  process.env.PRISM_ISA = "none";
  expect(await openEngineKernels(llama)).toMatch(/switched off; unset PRISM_ISA/);
});

function expectClose(found: Float64Array | undefined, expected: Float64Array | undefined): void {
  expect(found?.length).toBe(expected?.length);
  for (const [at, value] of (expected ?? []).entries()) {
    expect(Math.abs((found?.[at] as number) - value)).toBeLessThanOrEqual(1e-12 * value);
  }
}
