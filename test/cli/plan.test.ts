import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { nativeBackendProblem } from "../../src/kernels/native.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { MODEL, type Outcome, prism, scratchFolder, startPrism } from "./prism.ts";

const folder = scratchFolder();
const at = (name: string) => join(folder.path, name);
const run = (...args: string[]) => prism(args, folder.path);
const lastLine = (text: string) => text.trimEnd().split("\n").at(-1);
const readPlanFile = (name: string) => JSON.parse(readFileSync(at(name), "utf8")) as Plan;

/** Of the bundled model as Q3_K_M. */
const Q3_K_M_BYTES = 4_486_464;

let analyzed: Outcome;
let planned: Outcome;

beforeAll(async () => {
  analyzed = await run("analyze", MODEL, "-o", "a.json");
  planned = await run("plan", "a.json", "--like", "q3_k_m");
});
afterAll(folder.remove);

describe("prism analyze", () => {
  it("writes the analysis, prints tables within 80 columns, and says what to type next", () => {
    expect(analyzed).toMatchObject({ code: 0, stderr: "analyzing\n" });
    const analysis = JSON.parse(readFileSync(at("a.json"), "utf8")) as Analysis;
    const backend = nativeBackendProblem() === undefined ? "native" : "reference";
    expect(analysis).toMatchObject({ schema: "prism.analysis/1", backend, sampling: { seed: 0 } });
    expect(analyzed.stdout).toContain(`backend ${backend}`);
    expect(analyzed.stdout).toMatch(/^METRICS .* alpha .* OSQE3 /m);
    expect(analyzed.stdout).toMatch(/^DISTORTION .* Q4_K /m);
    expect(analyzed.stdout).toMatch(/^worst SE +\d+\.\d % of the distortion of /m);
    expect(lastLine(analyzed.stdout)).toBe("next: prism plan a.json --like Q3_K_M");
    expect(Math.max(...analyzed.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it("does not replace a file without --force", async () => {
    const outcome = await run("analyze", MODEL, "-o", "a.json");
    expect(outcome).toMatchObject({ code: 2, stdout: "" });
    expect(outcome.stderr).toMatch(/^prism: a\.json exists; give --force /);
  });

  it("refuses before it works: a backend that is not there (4), an imatrix that can't be read (1)", async () => {
    const backend = await run("analyze", MODEL, "-o", "b.json", "--backend", "cuda");
    expect(backend).toMatchObject({ code: 4, stdout: "" });
    expect(backend.stderr).toMatch(/^prism: --backend cuda: .*auto, native, webgpu, tfjs, reference\n$/);
    expect((await run("analyze", MODEL, "-o", "b.json", "--imatrix", "absent.gguf")).code).toBe(1);
    expect(existsSync(at("b.json"))).toBe(false);
  });

  it("stops on Ctrl-C with 130 and leaves no file behind", async () => {
    mkdirSync(at("interrupted"));
    const { child, outcome } = startPrism(["analyze", MODEL, "--no-cache", "-o", "interrupted/a.json"], folder.path);
    await new Promise((resolve) => child.stderr?.once("data", resolve));
    child.kill("SIGINT");
    const { code, stdout, stderr } = await outcome;
    expect([code, stdout]).toEqual([130, ""]);
    expect(stderr).toContain("prism: interrupted");
    expect(readdirSync(at("interrupted"))).toEqual([]);
  });
});

describe("prism plan", () => {
  it("writes plan and recipes, prints the plan within 80 columns, and says what to type next", () => {
    expect(planned).toMatchObject({ code: 0, stderr: "" });
    expect(planned.stdout).toContain("--like Q3_K_M: at most 4,486,464 bytes");
    expect(lastLine(planned.stdout)).toBe("next: prism quantize plan.json");
    expect(Math.max(...planned.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const name of ["recipe.sh", "recipe.ps1", "tensor-types.txt", "custom-q.txt", "evaluate.sh"]) {
      expect(readFileSync(at(name), "utf8").length).toBeGreaterThan(100);
    }
    const { predicted } = readPlanFile("plan.json");
    expect(predicted.fileBytes).toBeLessThanOrEqual(Q3_K_M_BYTES);
    expect(predicted.fileBytes).toBeGreaterThan(0.99 * Q3_K_M_BYTES);
  });

  it("names the recipe files of another plan after it, and puts them where it is told", async () => {
    const outcome = await run("plan", "a.json", "--bpw", "4.5", "-o", "new/small.json", "--recipe-dir", "recipes");
    expect(outcome.code).toBe(0);
    expect(readdirSync(at("new"))).toEqual(["small.json"]);
    expect(readdirSync(at("recipes")).sort()).toEqual(
      ["custom-q.txt", "evaluate.sh", "recipe.ps1", "recipe.sh", "tensor-types.txt"].map((name) => `small.${name}`),
    );
    expect(readPlanFile("new/small.json").predicted.bpw).toBeLessThanOrEqual(4.5);
  });

  it("prints exactly the plan with --json, and nothing else with --quiet", async () => {
    const { code, stdout, stderr } = await run("plan", "a.json", "--size", "5MB", "-o", "j.json", "--json", "--quiet");
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toEqual(readPlanFile("j.json"));
    expect(readPlanFile("j.json").budget).toMatchObject({ text: "--size 5MB", fileBytes: 5e6 });
  });

  it("takes pins, floors, bans and ties to the plan", async () => {
    const constraints = ["--pin", "attn_v=Q6_K", "--floor", "output=Q8_0", "--ban", ".=IQ4_XS", "--tie", "ffn_up"];
    const outcome = await run("plan", "a.json", "--bpw", "5", "-o", "c.json", ...constraints);
    expect(outcome.code).toBe(0);
    const { tensors } = readPlanFile("c.json");
    const typesOf = (name: string) =>
      new Set(tensors.filter((tensor) => tensor.class === name).map(({ type }) => type));
    expect(typesOf("attn_v")).toEqual(new Set(["Q6_K"]));
    expect([...typesOf("output")].every((type) => type === "Q8_0" || type === "F16")).toBe(true);
    expect(typesOf("ffn_up").size).toBe(1);
    expect(tensors.some(({ type }) => type === "IQ4_XS")).toBe(false);
  });

  it("wants exactly one budget, in words it knows", async () => {
    const cases = [
      [[], /^prism: a budget is needed: --bpw 3\.5, --size 4\.3GB, --like Q3_K_M, or --vram 6GB --ctx 8192\n$/],
      [["--bpw", "4", "--size", "4MB"], /^prism: --bpw 4 and --size 4MB: expected one budget, got 2; /],
      [
        ["--bpw", "4", "-o", "never.json", "--exact"],
        /^prism: --exact: the analysis is made already; give it to prism analyze\n$/,
      ],
      [["--bpw", "4", "--exact=all"], /^prism: --exact: expected nothing or distortion, got "all"\n$/],
      [["--bpw", "4", "--memory", "1MB"], /^prism: --memory 1MB: expected at least 384MiB/],
      [["--size", "900M"], /^prism: size "900M": M is ambiguous; /],
      [["--like", "Q9_K"], /^prism: --like Q9_K: not a preset of llama-quantize; .*Q4_K_M/],
      [["--bpw", "4", "--mode", "layer"], /^prism: --mode layer: expected tensor or class\n$/],
      [["--bpw", "4", "--pin", "("], /^prism: pin "\(": expected PATTERN=TYPE/],
      [["--bpw", "4", "--pin", "(=Q4_K"], /^prism: pin \(=Q4_K: not a valid regular expression: /],
      [["--bpw", "4", "--floor", "attn=Q9"], /^prism: floor "attn=Q9": "Q9" is not a tensor type; /],
      [
        ["--bpw", "4", "--sensitivity", "guess"],
        /^prism: sensitivity: expected auto, uniform, stock, prior, blend, prism/,
      ],
    ] as const;
    for (const [args, message] of cases) {
      // the wrong request counts more than the file that stands in its way
      const outcome = await run(
        "plan",
        "a.json",
        ...args,
        ...(args.includes("guess" as never) ? ["-o", "g.json"] : []),
      );
      expect(outcome).toMatchObject({ code: 2, stdout: "" });
      expect(outcome.stderr).toMatch(message);
    }
  });

  it("refuses a pattern that matches nothing (2), an impossible budget (5) and a wrong document (1)", async () => {
    const idle = await run("plan", "a.json", "--bpw", "4", "-o", "x.json", "--pin", "attn_kv=Q4_K");
    expect(idle.code).toBe(2);
    expect(idle.stderr).toMatch(/^prism: pin attn_kv=Q4_K: the pattern matches none of the 58 tensors/);
    const small = await run("plan", "a.json", "--bpw", "1", "-o", "x.json");
    expect(small.code).toBe(5);
    expect(small.stderr).toMatch(/^prism: asked for .* possible are [\d,]+ to [\d,]+ bytes /);
    const wrong = await run("plan", "plan.json", "--bpw", "4", "-o", "x.json");
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("plan.json: is a plan already");
    expect(existsSync(at("x.json"))).toBe(false);
  });

  it("quantizes nothing where the plan's model is gone, and says how to name it", async () => {
    const plan = JSON.parse(readFileSync(at("plan.json"), "utf8"));
    writeFileSync(at("moved.json"), JSON.stringify({ ...plan, source: { ...plan.source, path: "/gone/model.gguf" } }));
    const outcome = await run("quantize", "moved.json");
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toBe(
      "prism: /gone/model.gguf: the model of the plan is not there; name it with --source FILE\n",
    );
  });

  it("says before it plans that the output can't be written", async () => {
    const cases = [
      ["a.json/x.json", 1, /a\.json: is a file, not a folder/],
      ["new", 1, /new: is a folder/],
      ["x.gguf", 2, /writes JSON, not a model/],
      ["plan.json", 2, /plan\.json, recipe\.sh, .* exist; give --force/],
    ] as const;
    mkdirSync(at("new"), { recursive: true });
    for (const [path, code, message] of cases) {
      const outcome = await run("plan", "a.json", "--bpw", "4", "-o", path);
      expect(outcome).toMatchObject({ code, stdout: "" });
      expect(outcome.stderr).toMatch(message);
    }
  });

  it.skipIf(process.getuid?.() === 0)("says that a folder is not writable", async () => {
    mkdirSync(at("closed"), { mode: 0o555 });
    const outcome = await run("plan", "a.json", "--bpw", "4", "-o", "closed/x.json");
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain("closed: can't be written to (EACCES)");
  });

  it("prices an edited plan anew", async () => {
    const plan = readPlanFile("plan.json");
    const tensors = plan.tensors.map((tensor) => (tensor.class === "attn_k" ? { ...tensor, type: "Q8_0" } : tensor));
    writeFileSync(at("edited.json"), JSON.stringify({ ...plan, tensors }));
    const outcome = await run("plan", "--from", "edited.json", "-o", "priced.json");
    expect(outcome.code).toBe(0);
    const priced = readPlanFile("priced.json");
    expect(priced.mode).toBe("edited");
    expect(priced.predicted.fileBytes).toBeGreaterThan(plan.predicted.fileBytes);
    expect(outcome.stdout).toContain("! over the budget");
    expect((await run("plan", "--from", "edited.json", "--bpw", "4", "-o", "y.json")).code).toBe(2);
  });
});

describe("prism show", () => {
  it("shows a plan, and which command explains its most damaged tensor", async () => {
    const { code, stdout } = await run("show", "plan.json");
    expect(code).toBe(0);
    expect(stdout.startsWith(planned.stdout.split("\n\nwrote ")[0] as string)).toBe(true);
    expect(stdout).toMatch(/^why a type: prism show plan\.json --explain [\w.]+\.weight$/m);
    const json = await run("show", "plan.json", "--json");
    expect(JSON.parse(json.stdout)).toEqual(readPlanFile("plan.json"));
  });

  it("shows what changes from one plan to another", async () => {
    const { code, stdout } = await run("show", "plan.json", "--diff", "j.json");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^file bytes +4,\d{3},\d{3} +4,9\d{2},\d{3} +\+/m);
    const diff = JSON.parse((await run("show", "plan.json", "--diff", "j.json", "--json")).stdout);
    expect(diff.changes.length).toBeGreaterThan(5);
    expect((await run("show", "plan.json", "--diff", "j.json", "--explain", "output.weight")).code).toBe(2);
  });

  it("explains a tensor, and offers the nearest names for one that is not there", async () => {
    const { code, stdout } = await run("show", "plan.json", "--explain", "blk.3.ffn_down.weight");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\* +\w+ +\d\.\d{4} /m);
    const unknown = await run("show", "plan.json", "--explain", "blk.3.ffn_dwn.weight");
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("did you mean blk.3.ffn_down.weight");
  });

  it("refuses what is no plan", async () => {
    const model = await run("show", MODEL);
    expect(model.code).toBe(1);
    expect(model.stderr).toContain("is a model, expected a plan");
    expect((await run("show", "a.json")).code).toBe(1);
    expect((await run("show", "absent.json")).stderr).toBe("prism: absent.json: no such file; check the path\n");
  });
});
