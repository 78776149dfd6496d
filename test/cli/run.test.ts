import type { ChildProcess } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asideName } from "../../src/disk/aside-file.ts";
import type { Evaluation } from "../../src/evaluate/evaluation.ts";
import { readImatrix } from "../../src/imatrix/imatrix.ts";
import type { Run } from "../../src/run/run-document.ts";
import { killEngines } from "../engine/engine-processes.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { startPrism } from "./prism.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-cli-run-"));
  await writeRunnable("llama", dir);
  await writeFile(
    join(dir, "text.txt"),
    "A lamp stood on the table, and the rain went on until the morning came. ".repeat(40),
  );
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const BUDGET = ["--like", "Q4_K_M", "--text", "text.txt", "--context", "16"] as const;
const RUN = [
  "run",
  "llama.gguf",
  ...BUDGET,
  "--out",
  "out",
  "--refine",
  "0",
  "--imatrix",
  "none",
  "--feedback",
  "off",
] as const;
const prism = (...args: string[]) => startPrism(args, dir).outcome;
const runIt = (...args: string[]) => prism(...RUN, "--chunks", "4", ...args);

/** Do `stop` with prism's process once stderr says that `stage` began, and with all it says after that. */
async function interruptAt(stage: string, stop: (child: ChildProcess) => void) {
  const { child, outcome } = startPrism([...RUN, "--chunks", "4"], dir);
  let said = "";
  child.stderr?.on("data", (text: string) => {
    said += text;
    if (said.includes(stage)) stop(child);
  });
  return outcome;
}

const stopAt = (stage: string, signal: NodeJS.Signals) => interruptAt(stage, (child) => child.kill(signal));

const halfFiles = async () =>
  (await readdir(join(dir, "out"), { recursive: true })).filter((path) => /\.part$/.test(path));

describe("prism run", () => {
  it("goes on after Ctrl-C, after kill -9 and after its engine was killed, and leaves no half file", async () => {
    const first = await stopAt(", analysis:", "SIGINT");
    expect(first.code).toBe(130);
    expect(first.stdout).toBe("");
    expect(await halfFiles()).toEqual([]);

    const second = await stopAt("plan: quantizing", "SIGINT");
    expect(second.code).toBe(130);
    expect(await halfFiles()).toEqual([]);

    const broken = await interruptAt("evaluating", ({ pid }) => killEngines(pid));
    expect(broken.code).toBe(1);
    expect(broken.stderr).toMatch(
      /prism: .*the engine's process ended (during|while).* \(SIGKILL\): somebody killed it/,
    );
    expect(await halfFiles()).toEqual([]);

    const third = await stopAt("plan: evaluating", "SIGKILL");
    expect(third.code).toBeNull();
    expect(third.stderr).not.toContain(", analysis:");
    const abandoned = asideName(join(dir, "out", "models", "plan.gguf")).replace(`.${process.pid}-`, ".4194305-");
    await writeFile(abandoned, "what a killed process left");

    const last = await runIt("--json", "--require", "bpw>20", "--require", "bpw<20");
    expect(last.stderr).not.toMatch(/, analysis:|, plan: quantizing/);
    expect(last.stderr).toContain(", plan: evaluating");
    expect(last.stderr).toMatch(/prism: the plan misses bpw>20 \(got \d\.\d+\); give a larger budget/);
    expect(last.code).toBe(3);
    const run = JSON.parse(last.stdout) as Run;
    expect(await readFile(join(dir, "out", "report.html"), "utf8")).toContain("Against the controls");
    expect(run.gates.map(({ gate, met }) => [gate, met])).toEqual([
      ["bpw>20", false],
      ["bpw<20", true],
    ]);
    const { seal, ...state } = JSON.parse(await readFile(join(dir, "out", "state.json"), "utf8"));
    expect(seal).toMatch(/^[0-9a-f]{64}$/);
    expect(run).toEqual(state);
  });

  it("leaves a plan that prism show knows the file of", async () => {
    const ofRun = await prism("show", "out");
    expect(ofRun.stdout).toContain("\nfile: out/models/plan.gguf, ");
    const path = join("out", "plans", "plan.json");
    const ofPlan = await prism("show", path);
    expect(ofPlan.stdout).toMatch(
      /\nfile: out\/models\/plan\.gguf, .*\nrun it: llama-cli -m out\/models\/plan\.gguf\n/,
    );
    expect(ofPlan.stdout).toMatch(/\nnext: prism show out\n$/);
  });

  it("makes a plan that says which weights it is for", async () => {
    const weights = await readFile(join(dir, "llama.gguf"));
    weights[weights.length - 2] = (weights[weights.length - 2] as number) ^ 1;
    await writeFile(join(dir, "other.gguf"), weights);
    const plan = join("out", "plans", "plan.json");
    const own = await prism("quantize", plan, "-o", "own-q.gguf");
    expect({ code: own.code, said: own.stderr.includes("other weights") }).toEqual({ code: 0, said: false });
    const other = await prism("quantize", plan, "--source", "other.gguf", "-o", "other-q.gguf");
    expect(other.code).toBe(0);
    expect(other.stderr).toContain("! other.gguf has other weights than the model that was measured for the plan");
  });

  it("probes the model on request, in place, and says beforehand how long that takes", async () => {
    const { code, stdout, stderr } = await prism(
      "run",
      "llama.gguf",
      ...BUDGET,
      "--out",
      "refined",
      "--refine",
      "3",
      ...["--imatrix", "none", "--feedback", "on", "--calibration", "text.txt"],
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^codes of \d+ tensors chosen with error feedback \(text: 1 file\), whose error .*; \d+ keep ggml's$/m,
    );
    expect(stdout).toMatch(/^ {2}plan \+ feedback +1\.52 MB/m);
    expect(stderr).toMatch(/^probing on up to 12 chunks, 3 groups of tensors, about .*$/m);
    expect(stderr).toMatch(/^(refined|unrefined) plan kept|^the probes change no type/m);
    expect(stdout).toMatch(/^probes: 3 groups of tensors on \d+ chunks in \d+ s; /m);
    const { refinement } = JSON.parse(await readFile(join(dir, "refined", "state.json"), "utf8")) as Run;
    expect(refinement).toMatchObject({ kind: "in-place", text: "file" });
    const planned = await prism("plan", "refined/analysis.json", "--bpw", "4", "--sensitivity", "refined/probes.json");
    expect(planned.code).toBe(0);
  });

  it("tells a finished run again at once, with the verdict and the next command", async () => {
    const { code, stdout, stderr } = await runIt();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^text: text\.txt; 4 chunks of 16 spread over it, \d+ tokens scored\n/);
    expect(stdout).toMatch(/\n> plan +1\.52 MB +4\.8\d+ /);
    expect(stdout).toContain("only 4 chunks were scored: no verdict under 20");
    expect(stdout.trimEnd().split("\n").at(-1)).toBe("next: prism show out/plans/plan.json");
    expect((await runIt()).stdout).toBe(stdout);
  });

  it("refuses another request in the same directory with 2, and keeps the run", async () => {
    const { code, stdout, stderr } = await prism(...RUN, "--chunks", "5");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toBe(
      "prism: out holds a run that was asked something else: --chunks was 4, now 5; give another --out, or --force to replace it\n",
    );
    expect((await runIt()).code).toBe(0);
  });

  it("makes an importance matrix of what the model writes, and says first how long that takes", async () => {
    const args = ["run", "llama.gguf", "--like", "Q4_K_M", "--out", "weighted", "--threads", "1", "--refine", "0"];
    const { child, outcome } = startPrism([...args, "--text", "text.txt", "--context", "16", "--chunks", "4"], dir);
    child.stderr?.on("data", (text: string) => {
      if (text.includes(", analysis:")) child.kill("SIGINT");
    });
    expect((await outcome).stderr).toMatch(/^importance matrix of 32 × \d+ tokens that the model writes, about/m);
    const { asked, kept } = JSON.parse(await readFile(join(dir, "weighted/state.json"), "utf8")) as Run;
    expect(asked.imatrix).toBe("sampled");
    expect(kept?.map(({ path }) => path)).toEqual(["imatrix.gguf"]);
    const { dataset, importance } = await readImatrix(join(dir, "weighted/imatrix.gguf"));
    expect(dataset).toBe("text sampled from the model, seed 0");
    expect(importance.has("output.weight")).toBe(true);
  });

  it.each([
    [["--baseline", "Q4_K_M,Q9"], '--baseline "Q9": neither a file nor a preset'],
    [["--baseline", "IQ1_S", "--imatrix", "none"], "--baseline IQ1_S needs importance values"],
    [["--require", "quality>9"], 'got "quality>9"'],
    [["--require", "beats(Q4_K_N)"], 'no row "Q4_K_N"'],
    [["--require", "drift<1"], "drift<1: that is not measured here"],
    [["--require", "beats(IQ1_S)", "--imatrix", "none"], "--require: IQ1_S needs importance values"],
    [["--text", "nowhere.txt"], "nowhere.txt: no such file"],
  ] as const)("refuses %j before it makes a directory", async (args, words) => {
    const { code, stderr } = await prism("run", "llama.gguf", "--out", "refused", ...args);
    expect(stderr).toContain(words);
    expect(code).toBe(args[0] === "--text" ? 1 : 2);
    expect(await readdir(dir)).not.toContain("refused");
  });
});

describe("prism quantize", () => {
  it("makes the plan's model, byte for byte the one of the run, and does not replace it unasked", async () => {
    const plan = join("out", "plans", "plan.json");
    const made = await prism("quantize", plan, "-o", "again.gguf", "--json");
    expect(made.code).toBe(0);
    const { fileBytes } = JSON.parse(made.stdout) as { fileBytes: number };
    const again = await readFile(join(dir, "again.gguf"));
    expect(again.length).toBe(fileBytes);
    expect(again.equals(await readFile(join(dir, "out", "models", "plan.gguf")))).toBe(true);
    const refused = await prism("quantize", plan, "-o", "again.gguf");
    expect(refused).toEqual({
      code: 2,
      stdout: "",
      stderr: "prism: again.gguf exists already; give --force to replace it, or another name with -o\n",
    });
  });
});

describe("prism evaluate", () => {
  it("prints one JSON document, with what the run found in the chunks it took from all over the text", async () => {
    const args = ["again.gguf", "--reference", "llama.gguf", "--text", "text.txt", "--context", "16"];
    const { code, stdout } = await prism("evaluate", ...args, "--json");
    expect(code).toBe(0);
    const [model] = (JSON.parse(stdout) as Evaluation).models;
    const run = JSON.parse(await readFile(join(dir, "out", "state.json"), "utf8")) as Run;
    const ofRun = run.rows.find(({ kind }) => kind === "plan")?.kldPerChunk ?? [];
    const ofAll = model?.perChunk?.kld ?? [];
    expect(ofAll.length).toBeGreaterThan(ofRun.length);
    expect(ofRun.map((kld) => Math.min(...ofAll.map((other) => Math.abs(other - kld))) < 1e-9)).toEqual(
      Array.from({ length: 4 }, () => true),
    );
  });

  it("holds every model against --require, and ends with 3 after its one document", async () => {
    const args = ["evaluate", "again.gguf", "llama.gguf", "--reference", "llama.gguf", "--text", "text.txt"];
    const gates = ["--require", "kld<1e-6 && size<1GB"];
    const { code, stdout, stderr } = await prism(...args, "--context", "16", ...gates, "--json");
    expect(code).toBe(3);
    const { models } = JSON.parse(stdout) as Evaluation;
    expect(models.map(({ gates = [] }) => gates.map(({ gate, met }) => [gate, met]))).toEqual([
      [
        ["kld<1e-6", false],
        ["size<1GB", true],
      ],
      [
        ["kld<1e-6", true],
        ["size<1GB", true],
      ],
    ]);
    expect(stderr).toMatch(/prism: again\.gguf misses kld<1e-6 \(got \S+\); give a larger file/);
    const [rows, figure] = await Promise.all([
      prism(...args, "--require", "beats(Q4_K_M)"),
      prism("evaluate", "again.gguf", "--text", "text.txt", "--require", "kld<1"),
    ]);
    expect([rows.code, figure.code]).toEqual([2, 2]);
    expect(rows.stderr).toContain("compare the plan of prism run with its rows");
    expect(figure.stderr).toContain("not measured here without --reference");
  });

  it("asks for a text or a reference", async () => {
    const { code, stderr } = await prism("evaluate", "again.gguf");
    expect(code).toBe(2);
    expect(stderr).toContain("give --text FILE, or --reference MODEL");
  });
});
