import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { afterAll, expect, it } from "vitest";
import { expectLines, jsonView } from "../../src/cli/json-lines.ts";
import type { ProgressEvent } from "../../src/cli/progress-model.ts";
import { PROGRESS_LINE, type ProgressLine } from "../../src/documents/progress-line.ts";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
afterAll(folder.remove);
const validate = new Ajv({ strict: true }).compile(PROGRESS_LINE.schema);

/** The lines of stderr, each of which follows the schema. */
function linesOf(stderr: string): ProgressLine[] {
  return stderr
    .trimEnd()
    .split("\n")
    .map((text) => {
      const line = JSON.parse(text) as ProgressLine;
      expect(validate(line), `${text}: ${JSON.stringify(validate.errors)}`).toBe(true);
      return line;
    });
}

const EVENT: ProgressEvent = {
  ...{ stage: 3, of: 7, label: "probes", part: 1, parts: 1, phase: "probing", doing: "probing, blk.3.ffn_up" },
  ...{ share: 0.45678, totalShare: 0.3, secondsLeft: 118.12345 },
};

it("has a line for what is begun, and one a second, with stage, share and seconds left", () => {
  const lines: unknown[] = [];
  const clock = { seconds: 0 };
  const view = jsonView(
    (line) => lines.push(line),
    () => clock.seconds,
  );
  view.show(EVENT);
  clock.seconds = 0.5;
  view.show(EVENT);
  clock.seconds = 1.5;
  view.show({ ...EVENT, share: 0.5 });
  view.endStage(EVENT, 75.00049);
  view.show({ ...EVENT, stage: 4, label: "plan" });
  expect(lines).toMatchObject([
    { event: "progress", stage: 3, of: 7, label: "probes", share: 0.457, secondsLeft: 118.123 },
    { event: "progress", share: 0.5 },
    { event: "end", stage: 3, label: "probes", seconds: 75 },
    { event: "progress", stage: 4, label: "plan" },
  ]);
});

it("is found before options are parsed, in either spelling, and not behind --", () => {
  const found = (...args: string[]) => expectLines(args);
  expect(found("run", "--progress", "json")).toBe(true);
  expect(found("run", "--progress=json")).toBe(true);
  expect(found("run", "--progress=json", "--progress", "auto")).toBe(false);
  expect(found("run", "--", "--progress=json")).toBe(false);
  expect(found("run", "--progress")).toBe(false);
});

it("makes every line of stderr an object, and leaves stdout its one document", async () => {
  writeFileSync(join(folder.path, "text.txt"), "A lamp stood on the table, and the rain went on. ".repeat(60));
  const args = ["evaluate", MODEL, "--reference", MODEL, "--text", "text.txt", "--context", "64", "--chunks", "4"];
  const { code, stdout, stderr } = await prism([...args, "--json", "--progress", "json"], folder.path);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ schema: "prism.evaluation/1" });
  const lines = linesOf(stderr);
  const shares = lines.flatMap(({ event, share }) => (event === "progress" ? [share] : []));
  expect(shares.length).toBeGreaterThan(0);
  expect(await prism([...args, "--json", "--progress", "json", "--quiet"], folder.path)).toMatchObject({ stderr: "" });
});

it("has errors as lines too, those of the command line among them", async () => {
  const failures = [
    [["inspect", "absent.gguf"], { code: "file", exitCode: 1, path: "absent.gguf" }],
    [["inspct"], { code: "usage", exitCode: 2 }],
    [["plan", MODEL, "--bpw", "0.5", "--no-such"], { code: "usage", exitCode: 2 }],
  ] as const;
  for (const [args, error] of failures) {
    const { code, stderr } = await prism([...args, "--progress=json"], folder.path);
    expect(code).toBe(error.exitCode);
    expect(linesOf(stderr)).toMatchObject([{ event: "error", error }]);
  }
  const other = await prism(["inspect", MODEL, "--progress", "xml"], folder.path);
  expect(other.code).toBe(2);
  expect(other.stderr).toContain("Allowed choices are auto, json");
});
