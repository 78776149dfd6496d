import { expect, it } from "vitest";
import { nextCommand } from "../../src/cli/next-command.ts";
import { formatDuration, renderProgress } from "../../src/cli/progress-bar.ts";
import { defaultAnalysisPath, recipePrefix } from "../../src/verbs/output-names.ts";

it("shows share, count, rate and time left", () => {
  expect(renderProgress("analyze", 6, 24, 3, "blk.0.attn_q.weight")).toBe(
    "analyze  [######------------------]  6/24  2.0/s  9 s left  blk.0.attn_q.weight",
  );
  expect(renderProgress("analyze", 0, 24, 3, "")).toBe(`analyze  [${"-".repeat(24)}]  0/24`);
  expect(renderProgress("analyze", 2, 2, 10, "")).toBe(`analyze  [${"#".repeat(24)}]  2/2  5.0 s each`);
  expect(renderProgress("analyze", 1, 2, 1, "a\u001b[2Jb")).not.toContain("\u001b");
});

it("writes durations in two units", () => {
  expect([8.4, 200, 3600 * 2 + 310].map(formatDuration)).toEqual(["8 s", "3 min 20 s", "2 h 05 min"]);
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
