import { expect, test } from "vitest";
import type { RoundTripJob } from "../../src/engine/engine.ts";
import { createRoundTripPool } from "../../src/engine/round-trip-pool.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";

const job = (...types: TensorType[]): RoundTripJob => ({
  sourceType: "F32",
  rowElements: 256,
  data: new Uint8Array(1024),
  bandRows: 1,
  types,
});

/** Workers that note what they did and take a turn of the event loop each time. */
function pool(size: number, fails = false) {
  const done: TensorType[][] = Array.from({ length: size }, () => []);
  const busy = Array.from({ length: size }, () => 0);
  let most = 0;
  const workers = done.map((types, worker) => async (job: RoundTripJob) => {
    busy[worker] = (busy[worker] as number) + 1;
    expect(busy[worker]).toBe(1);
    most = Math.max(most, busy.filter((count) => count > 0).length);
    await new Promise((resolve) => setImmediate(resolve));
    busy[worker] = 0;
    types.push(...job.types);
    if (fails) throw new Error("dead");
    const error = Object.fromEntries(job.types.map((type) => [type, Float64Array.of(type.length)]));
    return { power: Float64Array.of(1), error, nonFinite: 0 };
  });
  return { done, most: () => most, ...createRoundTripPool(workers) };
}

test("a type with tables is measured by one process only, the others by all", async () => {
  const { run, done, most } = pool(3);
  await Promise.all(Array.from({ length: 20 }, () => run(job("Q4_K", "IQ1_M", "IQ2_XS"))));
  for (const type of ["IQ1_M", "IQ2_XS"] as const) {
    expect(done.filter((types) => types.includes(type))).toHaveLength(1);
  }
  expect(done.flat().filter((type) => type === "Q4_K")).toHaveLength(20);
  expect(done.filter((types) => types.includes("Q4_K")).length).toBeGreaterThan(1);
  expect(most()).toBe(3);
});

test("the parts of a job come back as one result", async () => {
  const { power, error, nonFinite } = await pool(2).run(job("IQ2_S", "Q4_K", "IQ1_M"));
  expect(power).toEqual(Float64Array.of(1));
  expect(Object.keys(error).sort()).toEqual(["IQ1_M", "IQ2_S", "Q4_K"]);
  expect(nonFinite).toBe(0);
});

test("one process does a job in one piece", async () => {
  const { run, done } = pool(1);
  await run(job("Q4_K", "IQ2_S"));
  expect(done).toEqual([["Q4_K", "IQ2_S"]]);
});

test("a process that fails is asked again for the next job", async () => {
  const { run, done } = pool(1, true);
  await expect(run(job("Q4_K"))).rejects.toThrow("dead");
  await expect(run(job("Q5_K"))).rejects.toThrow("dead");
  expect(done).toEqual([["Q4_K", "Q5_K"]]);
});
