import { expect, it } from "vitest";
import { ProgressModel } from "../../src/cli/progress-model.ts";

const STAGES = [
  { name: "analysis", parts: [[{ what: "analyzing", seconds: 10 }]] },
  { name: "files", parts: [0, 1].map(() => ["quantizing", "evaluating"].map((what) => ({ what, seconds: 20 }))) },
];

/** A model, and a clock that the test turns. */
function started() {
  const clock = { seconds: 0 };
  const model = new ProgressModel(() => clock.seconds);
  return { model, clock };
}

it("counts stages, their shares and the seconds left of all of them", () => {
  const { model, clock } = started();
  expect(model.event()).toBeUndefined();
  model.expect(STAGES);
  model.begin("analysis");
  expect(model.event()).toMatchObject({ stage: 1, of: 2, label: "analysis", share: 0, totalShare: 0, secondsLeft: 90 });
  clock.seconds = 5;
  model.steps("analyzing", 5, 10, "blk.0");
  expect(model.event()).toMatchObject({ share: 0.5, secondsLeft: 85, doing: "analyzing, blk.0" });
  clock.seconds = 10;
  model.steps("analyzing", 10, 10);
  model.begin("files", { index: 0, name: "plan" });
  expect(model.event()).toMatchObject({ stage: 2, share: 0, secondsLeft: 80, totalShare: 1 / 9 });
  model.steps("quantizing plan", 1, 2);
  clock.seconds = 30;
  model.steps("evaluating plan.gguf", 0, 20);
  expect(model.event()).toMatchObject({
    part: 1,
    parts: 2,
    phase: "evaluating",
    doing: "1 of 2, plan: evaluating",
    share: 0.25,
    secondsLeft: 60,
  });
  model.begin("files", { index: 1, name: "Q3_K_M" });
  expect(model.event()).toMatchObject({ share: 0.5, doing: "2 of 2, Q3_K_M" });
});

it("learns from what was slower than expected, and never goes back in a stage", () => {
  const { model, clock } = started();
  model.expect(STAGES);
  model.begin("analysis");
  clock.seconds = 30;
  model.steps("analyzing", 10, 10);
  model.begin("files", { index: 0, name: "plan" });
  // 30 s where 10 were expected: in doubt by 5, the rest takes 35/15 of what was expected
  expect(model.event()?.secondsLeft).toBeCloseTo((80 * 35) / 15);
  const shares: number[] = [];
  const look = (seconds: number, what: string, done: number) => {
    clock.seconds = seconds;
    model.steps(what, done, 10);
    shares.push(model.event()?.share ?? 0);
  };
  look(50, "quantizing plan", 5);
  look(70, "quantizing plan", 10);
  look(75, "evaluating plan", 8);
  look(76, "evaluating plan", 2);
  look(77, "quantizing again", 1);
  model.begin("files", { index: 1, name: "Q3_K_M" });
  shares.push(model.event()?.share ?? 0);
  expect(shares).toEqual([...shares].sort((a, b) => a - b));
  expect(shares.at(-1)).toBeLessThan(1);
});

it("makes nothing of a process that starts slowly for a phase of no length", () => {
  const { model, clock } = started();
  model.expect([{ name: "analysis", parts: [[{ what: "analyzing", seconds: 0.05 }]] }, ...STAGES.slice(1)]);
  model.begin("analysis");
  clock.seconds = 1;
  model.steps("analyzing", 10, 10);
  model.begin("files", { index: 0, name: "plan" });
  expect(model.event()?.secondsLeft).toBeLessThan(100);
});

it("takes a stage that is told again in the place of the former, and what is finished as over", () => {
  const { model } = started();
  model.expect(STAGES);
  model.expect([{ name: "files", parts: [[], [{ what: "quantizing", seconds: 30 }]] }]);
  model.begin("files", { index: 1, name: "Q3_K_M" });
  expect(model.event()).toMatchObject({ stage: 2, of: 2, secondsLeft: 30, share: 0 });
});

it("goes by the pace of what is counted where no stages are known", () => {
  const { model, clock } = started();
  model.steps("reading", 0, 8);
  expect(model.event()).toEqual({
    label: "reading",
    phase: "reading",
    doing: "",
    part: 1,
    parts: 1,
    share: 0,
    totalShare: 0,
  });
  clock.seconds = 3;
  model.steps("reading", 2, 8, "a");
  expect(model.event()).toMatchObject({ share: 0.25, secondsLeft: 9, doing: "a" });
});
