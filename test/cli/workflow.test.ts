import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Run } from "../../src/run/run-document.ts";
import { MODEL, scratchFolder } from "./prism.ts";

/** The example of docs/ci.md, whose steps are run here as GitHub's runner does: one shell each, variables handed on. */
const WORKFLOW = resolve(import.meta.dirname, "../../examples/quantize.yml");
const MAIN = resolve(import.meta.dirname, "../../dist/cli/main.js");
const hasTools = ["bash", "jq"].every((tool) => spawnSync(tool, ["--version"]).status === 0);

interface Step {
  readonly name: string;
  readonly condition: string;
  readonly script: string;
}

const lines = readFileSync(WORKFLOW, "utf8").split("\n");
const indentOf = (line: string) => line.length - line.trimStart().length;

/** The lines below the one at `at` that are further in, without what all of them have before. */
function blockAt(at: number): string[] {
  const outer = indentOf(lines[at] ?? "");
  const rest = lines.slice(at + 1);
  const end = rest.findIndex((line) => line.trim() !== "" && indentOf(line) <= outer);
  const block = end < 0 ? rest : rest.slice(0, end);
  const inner = Math.min(...block.filter((line) => line.trim() !== "").map(indentOf));
  return block.map((line) => line.slice(inner));
}

/** What stands under env at the top, without quotes. */
const ENV: Readonly<Record<string, string>> = Object.fromEntries(
  blockAt(lines.indexOf("env:"))
    .map((line) => /^(\w+): (.*)$/.exec(line))
    .flatMap((found) => (found === null ? [] : [[found[1], found[2]?.replace(/^"(.*)"$/, "$1")]])),
);

/** The steps that run something here; those that use an action of GitHub are left out. */
const STEPS: readonly Step[] = lines.flatMap((line, at): Step[] => {
  const name = /^ {6}- name: (.*)$/.exec(line)?.[1];
  if (name === undefined) return [];
  const own = lines.slice(at + 1, at + 1 + lines.slice(at + 1).findIndex((other) => /^ {0,6}\S|^$/.test(other)));
  const run = own.findIndex((other) => /^ {8}run: /.test(other));
  const inline = own[run]?.replace(/^ {8}run: /, "") ?? "";
  const script = inline === "|" ? blockAt(at + 1 + run).join("\n") : inline;
  return [{ name, condition: own.find((other) => /^ {8}if: /.test(other))?.slice(12) ?? "", script }];
});

const folder = scratchFolder();
const at = (name: string) => join(folder.path, name);
afterAll(folder.remove);
beforeAll(() => {
  copyFileSync(MODEL, at("model-f16.gguf"));
  writeFileSync(at("text.txt"), "A lamp stood on the table, and the rain went on until the morning came. ".repeat(40));
  writeFileSync(at("prism"), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
  chmodSync(at("prism"), 0o755);
});

/** Conditions of this one kind: env.NAME == 'text', or !=, joined by &&. */
function holds(condition: string, env: Readonly<Record<string, string>>): boolean {
  return condition.split(" && ").every((part) => {
    const [, name = "", sign, text] = /^env\.(\w+) (==|!=) '(.*)'$/.exec(part) ?? [];
    return part === "" || (sign === "==") === ((env[name] ?? "") === text);
  });
}

interface Job {
  /** Of the step that failed, or 0. */
  readonly status: number | null;
  readonly failed: string | undefined;
  readonly said: string;
  readonly summary: string;
}

/** Run the job; `changed` is what a person would change under env. */
function runJob(changed: Readonly<Record<string, string>>): Job {
  const files = { GITHUB_ENV: at("github-env"), GITHUB_STEP_SUMMARY: at("summary.md") };
  for (const file of Object.values(files)) writeFileSync(file, "");
  let said = "";
  for (const { name, condition, script } of STEPS) {
    const handed = readFileSync(files.GITHUB_ENV, "utf8").split("\n").filter(Boolean);
    const set = Object.fromEntries(handed.map((line) => line.split("=", 2)));
    const env = { ...ENV, ...changed, ...files, ...set };
    if (!holds(condition, env)) continue;
    writeFileSync(at("step.sh"), script);
    const { status, stdout, stderr } = spawnSync("bash", ["-e", "step.sh"], {
      cwd: folder.path,
      env: { ...process.env, ...env, PATH: `${folder.path}${delimiter}${process.env.PATH}` },
      encoding: "utf8",
    });
    said += stdout + stderr;
    const summary = readFileSync(files.GITHUB_STEP_SUMMARY, "utf8");
    if (status !== 0) return { status, failed: name, said, summary };
  }
  return { status: 0, failed: undefined, said, summary: readFileSync(files.GITHUB_STEP_SUMMARY, "utf8") };
}

const FEW = "--text text.txt --context 32 --chunks 4 --refine 0 --imatrix none --feedback off --speed off";
const QUICK = { SIZE: "4.5MB", REQUIRE: "kld<=0.1 && size<=4.5MB", OPTIONS: FEW };
const run = () => JSON.parse(readFileSync(at("run.json"), "utf8")) as Run;

describe("examples/quantize.yml", () => {
  it("has the steps that docs/ci.md speaks of, and a table of them that bash reads", () => {
    expect(STEPS.map(({ name }) => name)).toEqual([
      "Install PRISM",
      "Download the model",
      "Inspect the model",
      "Quantize",
      "Say what came out",
      "Publish",
      "Hold the job to the gates",
    ]);
    expect(ENV).toMatchObject({ MODEL: "model-f16.gguf", MAX_TIME: "5h", PUBLISH_TO: "" });
    for (const { script } of STEPS) expect(script).not.toContain("${{");
  });

  it.skipIf(!hasTools)(
    "stops in time, makes the file in the next job, and fails one that misses a gate",
    () => {
      const stopped = runJob({ ...QUICK, MAX_TIME: "0.001s" });
      expect(stopped).toMatchObject({ failed: "Hold the job to the gates", status: 1 });
      expect(stopped.said).toContain("::error::the time was over");

      const done = runJob(QUICK);
      expect(done.said).not.toContain("::error::");
      expect(done.failed).toBeUndefined();
      expect(done.summary).toMatch(/^### `model-f16\.gguf`: done\n/);
      expect(done.summary).toMatch(/^\| plan \| 44\d{5} \| 0\.0\d+ \|/m);
      expect(done.summary).toContain("- met: `size<=4.5MB`, got 44");
      for (const artifact of ["out/models/plan.gguf", "out/plans/plan.json", "out/report.html"])
        expect(existsSync(at(artifact))).toBe(true);
      const { finishedAt } = run();

      const missed = runJob({ ...QUICK, REQUIRE: "kld<=0.0001" });
      expect(missed).toMatchObject({ failed: "Hold the job to the gates", status: 1 });
      expect(missed.said).toContain("::error::the file misses a gate");
      expect(missed.summary).toMatch(/- MISSED: `kld<=0\.0001`, got 0\.0\d+/);
      // the folder is that of the job before: nothing was made again
      expect(run().finishedAt).toBe(finishedAt);
    },
    300_000,
  );

  it.skipIf(!hasTools)("ends with the tool's own exit code where something is wrong, and says what", () => {
    expect(runJob({ ...QUICK, SIZE: "1MB" })).toMatchObject({
      failed: "Quantize",
      status: 5,
      said: expect.stringMatching(/::error::--size 1MB /),
    });
    expect(runJob({ ...QUICK, MODEL: "absent.gguf", MODEL_URL: "file:///absent" }).failed).toBe("Download the model");
  });
});
