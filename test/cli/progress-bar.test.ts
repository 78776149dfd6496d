import { expect, it, vi } from "vitest";
import { followProgress } from "../../src/cli/follow-progress.ts";
import { nextCommand } from "../../src/cli/next-command.ts";
import { renderProgress } from "../../src/cli/progress-bar.ts";
import type { ProgressEvent } from "../../src/cli/progress-model.ts";
import { formatDuration, lineView, NO_VIEW, roughDuration } from "../../src/cli/progress-view.ts";
import { defaultAnalysisPath, recipePrefix } from "../../src/verbs/output-names.ts";

const EVENT: ProgressEvent = {
  ...{ stage: 3, of: 7, label: "probes", part: 1, parts: 1, phase: "probing", doing: "probing, blk.3.ffn_up" },
  ...{ share: 0.45, totalShare: 0.3, secondsLeft: 118 },
};

it("draws stage, share and the time left of all, and never to the last column", () => {
  expect(renderProgress(EVENT, 100)).toBe(
    "step 3 of 7, probes  [#######---------]  45 %  about 2 min left  probing, blk.3.ffn_up",
  );
  expect(renderProgress(EVENT, 40)).toBe("step 3 of 7, probes  [#######---------]");
  expect(renderProgress(EVENT, 72)).toBe("step 3 of 7, probes  [#######---------]  45 %  about 2 min left");
  const { secondsLeft: _, stage: __, ...counted } = EVENT;
  expect(renderProgress({ ...counted, label: "reading", doing: "" }, 80)).toBe("reading  [#######---------]  45 %");
});

it("writes a line for what is begun, and one every half minute, with stage, share and time left", () => {
  const lines: string[] = [];
  const clock = { seconds: 0 };
  const view = lineView(
    (line) => lines.push(line),
    () => clock.seconds,
  );
  view.show(EVENT);
  clock.seconds = 28;
  view.show(EVENT);
  clock.seconds = 30;
  view.show(EVENT);
  view.endStage(EVENT, 75);
  view.show({ ...EVENT, stage: 4, label: "plan", doing: "" });
  expect(lines).toEqual([
    "step 3 of 7, probes: probing, blk.3.ffn_up, about 2 min left",
    "step 3 of 7, probes: 45 %, about 2 min left (probing, blk.3.ffn_up)",
    "step 3 of 7, probes: done in 1 min 15 s",
    "step 4 of 7, plan: about 2 min left",
  ]);
});

it("speaks while work tells nothing, and shows no control characters of names", () => {
  vi.useFakeTimers();
  const said: string[] = [];
  const progress = followProgress({ note: (text) => said.push(text), view: () => lineView((line) => said.push(line)) });
  progress.steps("reading", 1, 4, "a\u001b[2Jb");
  progress.note("a\u001b[2Jb\nc");
  vi.advanceTimersByTime(31_000);
  progress.end();
  vi.advanceTimersByTime(60_000);
  vi.useRealTimers();
  expect(said.join("\n")).not.toContain("\u001b");
  expect(said.filter((line) => line.startsWith("reading"))).toEqual([
    "reading",
    expect.stringMatching(/^reading: 25 %, about .* left \(a\?/),
  ]);
});

it("shows nothing where nothing is to be shown", () => {
  const progress = followProgress({ note: () => undefined, view: () => NO_VIEW });
  progress.stages([{ name: "a", parts: [] }]);
  progress.begin("a");
  progress.end();
});

it("writes durations in two units, and roughly where they are forecasts", () => {
  expect([8.4, 200, 3600 * 2 + 310].map(formatDuration)).toEqual(["8 s", "3 min 20 s", "2 h 05 min"]);
  expect([0.2, 8.4, 41, 57, 200, 3600 * 2 + 1000].map(roughDuration)).toEqual([
    "1 s",
    "8 s",
    "45 s",
    "1 min",
    "3 min",
    "2 h 20 min",
  ]);
});

it("quotes in the next command what a shell would take apart", () => {
  expect(nextCommand("prism", "plan", "a.json")).toBe("prism plan a.json");
  expect(nextCommand("prism", "plan", "my model's $f.gguf")).toBe("prism plan 'my model'\\''s $f.gguf'");
  const path = "C:\\models\\a.gguf";
  expect(nextCommand("prism", "plan", path)).toBe(`prism plan ${process.platform === "win32" ? path : `'${path}'`}`);
});

it("names outputs after the model and the plan", () => {
  expect(defaultAnalysisPath("/models/Big-00001-of-00003.gguf")).toBe("Big.analysis.json");
  expect(recipePrefix("runs/plan.json")).toBe("");
  expect(recipePrefix("runs/small.json")).toBe("small.");
});
