import { describe, expect, it } from "vitest";
import {
  nextStep,
  type ProbeGroup,
  type ProbeStep,
  probeGroups,
  type TakenProbe,
} from "../../src/probes/probe-design.ts";
import { fitProbes as fitTo, logKld, type ProbeObservation } from "../../src/probes/probe-fit.ts";
import { type ProbedTensor, probeKernel } from "../../src/probes/probe-kernel.ts";
import { expectedRegret } from "../../src/probes/regret.ts";
import { createNormal, createRandom } from "../../src/random.ts";

const LAYERS = 16;
const D = 0.023;

const fitProbes = (tensors: readonly ProbedTensor[], observations: readonly ProbeObservation[]) =>
  fitTo(probeKernel(tensors), observations);

/** Two classes of blocks and a head, with densities that a class, the depth and chance decide. */
function drawModel(seed: number) {
  const normal = createNormal(createRandom(seed));
  const tensors: ProbedTensor[] = [
    { name: "output.weight", class: "output", elements: 4e6, logPrior: 0 },
    ...["ffn_down", "attn_v"].flatMap((name) =>
      Array.from({ length: LAYERS }, (_, layer) => ({
        name: `blk.${layer}.${name}.weight`,
        class: name,
        layer,
        depth: layer / (LAYERS - 1),
        elements: name === "ffn_down" ? 2e6 : 2e5,
        logPrior: 0,
      })),
    ),
  ];
  const ofClass = new Map(["output", "ffn_down", "attn_v"].map((name) => [name, -16 + 1.2 * normal()]));
  const truth = tensors.map(
    (tensor) => (ofClass.get(tensor.class) ?? 0) + 1.5 * (tensor.depth ?? 0) ** 2 + 0.1 * normal(),
  );
  return { tensors, truth };
}

function observe(
  tensors: readonly ProbedTensor[],
  truth: readonly number[],
  members: readonly number[],
): ProbeObservation {
  const parts = members.map((tensor) => ({ tensor, weight: (tensors[tensor]?.elements ?? 0) * D }));
  const kld = parts.reduce((sum, { tensor, weight }) => sum + weight * Math.exp(truth[tensor] as number), 0);
  return { parts, kld, se: 0.05 * kld };
}

/** Root of the mean squared error of ln density, weighted by elements. */
function error(tensors: readonly ProbedTensor[], truth: readonly number[], logDensity: ArrayLike<number>): number {
  let sum = 0;
  let elements = 0;
  for (const [i, tensor] of tensors.entries()) {
    sum += tensor.elements * ((logDensity[i] as number) - (truth[i] as number)) ** 2;
    elements += tensor.elements;
  }
  return Math.sqrt(sum / elements);
}

describe("a fit of probes", () => {
  const { tensors, truth } = drawModel(3);
  const every = tensors.map((_, index) => observe(tensors, truth, [index]));

  it("gives the prior back where nothing was probed", () => {
    const fit = fitProbes(
      tensors.map((tensor, i) => ({ ...tensor, logPrior: i / 10 })),
      [],
    );
    expect([...fit.logDensity]).toEqual(tensors.map((_, i) => i / 10));
  });

  it("comes to what single probes measured", () => {
    const { logDensity } = fitProbes(tensors, every);
    expect(error(tensors, truth, logDensity)).toBeLessThan(0.05);
  });

  it("meets a class as a whole and keeps what the prior says within it", () => {
    const members = tensors.flatMap(({ class: name }, index) => (name === "ffn_down" ? [index] : []));
    const whole = observe(tensors, truth, members);
    const { logDensity } = fitProbes(tensors, [whole]);
    const predicted = whole.parts.reduce(
      (sum, { tensor, weight }) => sum + weight * Math.exp(logDensity[tensor] as number),
      0,
    );
    expect(predicted / whole.kld).toBeCloseTo(1, 1);
    const values = members.map((index) => logDensity[index] as number);
    expect(Math.max(...values) - Math.min(...values)).toBeLessThan(0.2);
  });

  it("carries a probe over to neighbours more than to far layers, and to other classes least", () => {
    const index = (name: string) => tensors.findIndex((tensor) => tensor.name === name);
    const classes = probeGroups(tensors)
      .filter(({ name }) => ["output", "output.weight", "ffn_down", "attn_v"].includes(name))
      .map((group) => observe(tensors, truth, group.tensors));
    const base = fitProbes(tensors, classes).logDensity;
    const probed = index("blk.8.ffn_down.weight");
    const probe = observe(tensors, truth, [probed]);
    const higher = { ...probe, kld: 3 * probe.kld, se: 3 * probe.se };
    const fit = fitProbes(tensors, [...classes, higher]).logDensity;
    const change = (name: string) => (fit[index(name)] as number) - (base[index(name)] as number);
    expect(change("blk.9.ffn_down.weight")).toBeGreaterThan(change("blk.15.ffn_down.weight") + 0.1);
    expect(change("blk.9.ffn_down.weight")).toBeGreaterThan(change("blk.9.attn_v.weight") + 0.1);
  });

  it("lets a tensor far out of its class stand alone: its neighbours do not follow it", () => {
    const outlier = tensors.findIndex(({ name }) => name === "blk.5.ffn_down.weight");
    const odd = truth.map((value, index) => (index === outlier ? value + 4 : value));
    const singles = [0, 2, 5, 8, 11, 13, 15].map((layer) => outlier - 5 + layer);
    const known = fitProbes(
      tensors,
      [0, ...singles].map((index) => observe(tensors, odd, [index])),
    );
    expect(Math.abs((known.logDensity[outlier] as number) - (odd[outlier] as number))).toBeLessThan(0.2);
    const others = tensors.flatMap((tensor, index) =>
      tensor.class === "ffn_down" && index !== outlier
        ? [(known.logDensity[index] as number) - (odd[index] as number)]
        : [],
    );
    for (const off of others) expect(Math.abs(off)).toBeLessThan(0.6);
  });

  it("takes a KL divergence within its error for an upper bound only", () => {
    const parts = [{ tensor: 0, weight: 1 }];
    expect(logKld({ kld: -1e-8, se: 1e-7, parts })).toEqual({ value: Math.log(2e-7), sd: 1 });
    expect(logKld({ kld: 0, se: 0, parts })).toEqual({ value: Math.log(1e-9), sd: 1 });
    expect(logKld({ kld: 1e-3, se: 5e-5, parts }).sd).toBeLessThan(0.2);
    // what adds up is known less surely than one tensor
    expect(logKld({ kld: 1e-3, se: 5e-5, parts: [...parts, ...parts] }).sd).toBeGreaterThan(
      logKld({ kld: 1e-3, se: 5e-5, parts }).sd,
    );
  });

  it("knows a tensor better after each probe", () => {
    const few = fitProbes(tensors, every.slice(0, 3));
    const more = fitProbes(tensors, every.slice(0, 9));
    for (const index of [1, 5, 12]) expect(more.covariance(index, index)).toBeLessThan(few.covariance(index, index));
  });
});

describe("the choice of probes", () => {
  const { tensors, truth } = drawModel(5);
  const groups = probeGroups(tensors);

  it("offers each class whole and by halves down to single tensors", () => {
    const names = groups.map(({ name }) => name);
    expect(names).toContain("output.weight");
    expect(names).toContain("ffn_down");
    expect(names).toContain("ffn_down 0-7");
    expect(names).toContain("ffn_down 8-11");
    expect(names.filter((name) => /^blk\.\d+\.ffn_down\.weight$/.test(name))).toHaveLength(LAYERS);
    expect(groups).toHaveLength(1 + 2 * (2 * LAYERS - 1));
  });

  const costs = { first: 1, each: 0.05, whole: 3.3 };
  const taken = (group: ProbeGroup, chunks: number): TakenProbe => ({
    group,
    parts: observe(tensors, truth, group.tensors).parts,
    chunks,
  });
  const partsOf = ({ tensors: members }: ProbeGroup) => observe(tensors, truth, members).parts;
  const fitOf = (probed: readonly ProbeGroup[]) =>
    fitProbes(
      tensors,
      probed.map((group) => observe(tensors, truth, group.tensors)),
    );

  /** Take `count` steps. */
  function choose(count: number): { steps: ProbeStep[]; probed: ProbeGroup[] } {
    const known = new Map<ProbeGroup, number>();
    const steps: ProbeStep[] = [];
    while (steps.length < count) {
      const choice = {
        untaken: groups.filter((group) => !known.has(group)),
        taken: [...known].map(([group, chunks]) => taken(group, chunks)),
        chunks: 16,
        costs,
        partsOf,
      };
      const step = nextStep(choice, tensors, fitOf([...known.keys()]));
      if (step === undefined) break;
      steps.push(step);
      known.set(step.group, step.chunks);
    }
    return { steps, probed: [...known.keys()] };
  }

  it("splits first what has most weights, and comes nearer to the truth than as many probes of anything", () => {
    const { probed } = choose(12);
    expect(probed[0]?.name).toMatch(/ffn_down/);
    expect(probed.length).toBeGreaterThan(8);
    const first = groups.slice(0, probed.length);
    expect(error(tensors, truth, fitOf(probed).logDensity)).toBeLessThan(
      0.7 * error(tensors, truth, fitOf(first).logDensity),
    );
  });

  it("goes on with more chunks where no group is left, and ends where there are none", () => {
    const known = groups.map((group) => taken(group, 1));
    const step = nextStep({ untaken: [], taken: known, chunks: 16, costs, partsOf }, tensors, fitOf(groups));
    expect(step?.chunks).toBe(2);
    const whole = groups.map((group) => taken(group, 16));
    expect(nextStep({ untaken: [], taken: whole, chunks: 16, costs, partsOf }, tensors, fitOf(groups))).toBeUndefined();
  });

  it("expects less regret the more is known, none of the level, and none where all is known", () => {
    const losses = tensors.map(({ elements }) => elements);
    const regret = (count: number) => expectedRegret(losses, fitOf(groups.slice(0, count)));
    expect(regret(4)).toBeLessThan(regret(0));
    expect(regret(groups.length)).toBeLessThan(0.1 * regret(0));
    const onlyLevel = { logDensity: new Float64Array(tensors.length), covariance: () => 4 };
    expect(expectedRegret(losses, onlyLevel)).toBeCloseTo(0, 9);
    const independent = { ...onlyLevel, covariance: (a: number, b: number) => (a === b ? 1 : 0) };
    expect(expectedRegret([1, 1, 1, 1], independent)).toBeCloseTo(3 / 8, 9);
  });
});
