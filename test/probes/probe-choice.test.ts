import { describe, expect, it } from "vitest";
import { SILENT } from "../../src/bench.ts";
import { measurementOf, measureTask, withMeasurement } from "../../src/probes/measure-task.ts";
import { chooseTask, chooseTasks, designProbes, fitTaken, takenGroups } from "../../src/probes/probe-choice.ts";
import { describeTaken, probeModel } from "../../src/probes/probe-model.ts";
import type { ProbeMeasurement } from "../../src/sensitivity/density-document.ts";
import { emptyStore, syntheticModel, syntheticSite } from "./synthetic-model.ts";

const signal = new AbortController().signal;
type Model = ReturnType<typeof syntheticModel>;

const designOf = ({ analysis, prior, site }: Model, chunks: number) =>
  designProbes({ analysis, prior, budget: { chunks }, costs: site.costs, chunks: site.text.probes.chunks });

/** Rounds of `width` steps until the budget is spent, all steps of a round chosen before any is measured. */
async function inRounds(model: Model, chunks: number, width: number, reverse = false) {
  const design = designOf(model, chunks);
  let measurements: ProbeMeasurement[] = [];
  for (;;) {
    const taken = takenGroups(design, measurements);
    const fit = fitTaken(design, taken);
    const tasks = chooseTasks(design, taken, fit, width);
    if (tasks.length === 0) return { measurements, probed: describeTaken(design, taken, fit, "nats") };
    const answers = new Map<string, ProbeMeasurement>();
    for (const task of reverse ? [...tasks].reverse() : tasks) {
      const known = measurements.find(({ group, type }) => group === task.group && type === task.type)?.perChunk ?? [];
      const more = await measureTask(model.site, model.analysis, task, signal);
      answers.set(task.group, measurementOf(task, [...known.slice(0, task.first), ...more]));
    }
    for (const { group } of tasks) measurements = withMeasurement(measurements, answers.get(group) as ProbeMeasurement);
  }
}

/** What a plan with these densities loses more than the best one: Σ share × (δ − δ̄)² / 2 of ln density. */
function trueRegret({ analysis, truth }: Model, densities: readonly { name: string; density: number }[]): number {
  const elements = new Map(analysis.tensors.map((tensor) => [tensor.name, tensor.elements]));
  const rows = densities.map(({ name, density }) => ({
    weight: elements.get(name) ?? 0,
    off: Math.log(density) - (truth.get(name) ?? 0),
  }));
  const total = rows.reduce((sum, { weight }) => sum + weight, 0);
  const level = rows.reduce((sum, { weight, off }) => sum + (weight * off) / total, 0);
  return rows.reduce((sum, { weight, off }) => sum + ((weight / total) * (off - level) ** 2) / 2, 0);
}

describe("the choice of a probe", () => {
  it("follows from the measurements alone, and is what probing one after another takes", async () => {
    const model = syntheticModel(6, 3);
    const { measurements } = await inRounds(model, 24, 1);
    const request = { ...model, site: model.site, store: emptyStore(), budget: { chunks: 24 } };
    const probed = await probeModel(request, { signal, progress: SILENT });
    expect(measurements).toEqual(probed.measurements);
    const design = designOf(model, 100);
    const taken = takenGroups(design, measurements);
    const fit = fitTaken(design, taken);
    expect(chooseTask(design, taken, fit)).toEqual(chooseTask(design, takenGroups(design, [...measurements]), fit));
    expect(chooseTasks(design, taken, fit, 1)).toEqual([chooseTask(design, taken, fit)]);
  });

  it("changes to a finer type where the model breaks, as a step of its own, before anything else", async () => {
    const { analysis, prior, truth } = syntheticModel(4, 1);
    const site = syntheticSite(analysis, truth, 1, 1000);
    const design = designOf({ analysis, prior, truth, site }, 8);
    const first = chooseTask(design, [], fitTaken(design, []));
    expect(first).toMatchObject({ group: "token_embd.weight", type: "Q3_K", first: 0, end: 1 });
    const measured = measurementOf(first as never, await measureTask(site, analysis, first as never, signal));
    const taken = takenGroups(design, [measured]);
    const second = chooseTask(design, taken, fitTaken(design, taken));
    expect(second).toMatchObject({ group: "token_embd.weight", type: "Q5_K", first: 0, end: 1 });
  });
});

describe("a round of probes", () => {
  it("is the same from the same measurements, has each group once, and ends within the budget", async () => {
    const model = syntheticModel(6, 5);
    const design = designOf(model, 20);
    const { measurements } = await inRounds(model, 12, 1);
    const taken = takenGroups(design, measurements);
    const round = chooseTasks(design, taken, fitTaken(design, taken), 16);
    const again = takenGroups(design, JSON.parse(JSON.stringify(measurements)) as ProbeMeasurement[]);
    expect(chooseTasks(design, again, fitTaken(design, again), 16)).toEqual(round);
    expect(new Set(round.map(({ group }) => group)).size).toBe(round.length);
    const more = round.reduce((sum, { first, end }) => sum + end - first, 0);
    expect(more).toBeGreaterThanOrEqual(8);
    expect(round.slice(0, -1).reduce((sum, { first, end }) => sum + end - first, 0)).toBeLessThan(8);
  });

  it("gives the same whatever of it is measured first", async () => {
    const model = syntheticModel(4, 2);
    expect(await inRounds(model, 20, 6, true)).toMatchObject({
      measurements: (await inRounds(model, 20, 6)).measurements,
    });
  });

  it("loses little against one probe after another", async () => {
    const regretOf = async (width: number) => {
      let sum = 0;
      for (const seed of [1, 2, 3]) {
        const model = syntheticModel(12, seed);
        sum += trueRegret(model, (await inRounds(model, 40, width)).probed.densities) / 3;
      }
      return sum;
    };
    const one = await regretOf(1);
    expect(await regretOf(8)).toBeLessThan(1.25 * one);
    expect(one).toBeLessThan(0.2);
  });
});
