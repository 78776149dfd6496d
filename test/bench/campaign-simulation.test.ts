import { expect, test } from "vitest";
import { type Cluster, idealSeconds, inJobs, type SimulatedUnit, simulate } from "../../bench/campaign-simulation.ts";
import { createRandom } from "../../src/random.ts";

/** Nodes that are equal and never die, and a storage that nobody notices. */
const CALM: Cluster = {
  workers: 4,
  startSeconds: 0,
  startBytes: 0,
  nodeBytesPerSecond: 1e9,
  storageBytesPerSecond: 1e12,
  speedSpread: 0,
  deathsPerHour: 0,
  requeueSeconds: 60,
  seed: 1,
};
const random = createRandom(5);
const UNITS = Array.from(
  { length: 200 },
  (_, index): SimulatedUnit => ({ key: `unit ${index}`, seconds: 1 + 200 * random(), bytes: 1e9 * random() }),
);
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const claims = UNITS.map((unit) => [unit]);
const bySeconds = (workers: number) => inJobs(UNITS, workers, ({ seconds }) => seconds);

test.each([
  ["claims", claims, false],
  ["jobs", bySeconds(16), true],
] as const)(
  "every unit is finished once and no work is lost or made, also where nodes die: %s",
  (_, jobs, startsEach) => {
    const cluster = { ...CALM, workers: 16, startSeconds: 3, startBytes: 1e8, speedSpread: 0.15, deathsPerHour: 20 };
    const { finished, workSeconds, lostSeconds, deaths, bytesRead } = simulate(jobs, cluster, startsEach);
    expect(deaths).toBeGreaterThan(5);
    expect(finished.size).toBe(UNITS.length);
    expect(new Set(finished.values())).toEqual(new Set([1]));
    expect(workSeconds).toBeCloseTo(sum(UNITS.map(({ seconds }) => seconds)), 6);
    expect(lostSeconds).toBeGreaterThan(0);
    // what nodes that died had read is read again
    expect(sum(bytesRead)).toBeGreaterThan(sum(UNITS.map(({ bytes }) => bytes)));
  },
);

test("equal units on equal nodes take as many turns as there are units for each, and a start before", () => {
  const equal = Array.from({ length: 10 }, (_, index) => ({ key: String(index), seconds: 7, bytes: 1e9 }));
  const outcome = simulate(
    equal.map((unit) => [unit]),
    { ...CALM, startSeconds: 3 },
    false,
  );
  expect(outcome.makespanSeconds).toBeCloseTo(3 + 3 * 7, 9);
  expect(sum(outcome.busySeconds)).toBeCloseTo(4 * 3 + 10 * 7, 9);
  expect(sum(outcome.bytesRead)).toBeCloseTo(10e9, 0);
  expect(idealSeconds(equal, CALM)).toEqual({ compute: 17.5, storage: 2.5 });
});

test("a job that starts anew pays for it each time", () => {
  const jobs = Array.from({ length: 8 }, (_, index) => [{ key: String(index), seconds: 5, bytes: 0 }]);
  const makespan = (startsEach: boolean) => simulate(jobs, { ...CALM, startSeconds: 2 }, startsEach).makespanSeconds;
  expect(makespan(false)).toBeCloseTo(2 + 2 * 5, 9);
  expect(makespan(true)).toBeCloseTo(2 * (2 + 5), 9);
});

test("what reads more than the storage gives waits for it, and what reads little does not", () => {
  const jobs = [
    [{ key: "large", seconds: 1, bytes: 6e9 }],
    [{ key: "other", seconds: 1, bytes: 6e9 }],
    [{ key: "small", seconds: 1, bytes: 1e8 }],
  ];
  const narrow = { ...CALM, nodeBytesPerSecond: 1e10, storageBytesPerSecond: 2e9 };
  const { makespanSeconds, busySeconds } = simulate(jobs, narrow, false);
  expect(makespanSeconds).toBeCloseTo(12.1e9 / 2e9, 6);
  expect(busySeconds[2]).toBeCloseTo(1, 9);
  const slowNodes = { ...CALM, nodeBytesPerSecond: 1e9 };
  expect(simulate(jobs, slowNodes, false).makespanSeconds).toBeCloseTo(6, 9);
});

test("the same seed gives the same campaign, and another one another", () => {
  const cluster = { ...CALM, workers: 16, speedSpread: 0.15, deathsPerHour: 5 };
  const makespan = (seed: number) => simulate(claims, { ...cluster, seed }, false).makespanSeconds;
  expect(makespan(1)).toBe(makespan(1));
  expect(makespan(2)).not.toBe(makespan(1));
});

test("no more workers than units can help: the largest unit is a bound", () => {
  const largest = Math.max(...UNITS.map(({ seconds }) => seconds));
  expect(simulate(claims, { ...CALM, workers: 1000 }, false).makespanSeconds).toBeCloseTo(largest, 6);
});
