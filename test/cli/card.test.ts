import { createHash } from "node:crypto";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseGGUFQuantLabel } from "@huggingface/gguf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { familyInMemory } from "../report/charts/family-in-memory.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
const { analysis, plan, run } = runInMemory();
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const at = (...names: string[]) => join(folder.path, ...names);

beforeAll(() => {
  for (const name of ["run", "other"]) {
    for (const part of ["plans", "models", "evaluations"]) mkdirSync(at(name, part), { recursive: true });
    writeFileSync(at(name, "state.json"), JSON.stringify(run));
    writeFileSync(at(name, "plans", "plan.json"), serializePlan(plan));
    writeFileSync(at(name, "analysis.json"), JSON.stringify(analysis));
  }
  // stands for the planned file: its general.* keys are what a quantized file keeps of its source's
  copyFileSync(MODEL, at("run", "models", "plan.gguf"));
});
afterAll(folder.remove);

describe("prism report --card", () => {
  it("writes a folder to upload, and says what goes where", async () => {
    const { code, stdout, stderr } = await prism(["report", "run", "--card", "--repo", "me/Tiny-GGUF"], folder.path);
    expect(code).toBe(0);
    expect(readdirSync(at("run", "card")).sort()).toEqual([
      "README.md",
      "SHA256SUMS",
      "evaluation.json",
      "pareto.png",
      "pareto.svg",
      "plan.json",
      "tensor-types.txt",
    ]);
    const card = readFileSync(at("run", "card", "README.md"), "utf8");
    const [, head = ""] = card.split(/^---$/m);
    expect(parse(head)).toMatchObject({ license: "cc0-1.0", tags: ["gguf", "quantized", "prism"] });
    expect(card).toContain("![Size against quality](pareto.png)");
    const name = /Tiny-PRISM-[\d.]+bpw-\w+\.gguf/.exec(card)?.[0] ?? "";
    expect(stdout).toContain(`hf upload me/Tiny-GGUF run/models/plan.gguf ${name}`);
    expect(card).toContain(`hf download me/Tiny-GGUF ${name}`);
    const tag = parseGGUFQuantLabel(name);
    for (const program of ["llama-cli -hf ", "llama-server -hf ", "ollama run hf.co/"]) {
      expect(card).toContain(`${program}me/Tiny-GGUF:${tag}`);
    }
    const sums = readFileSync(at("run", "card", "SHA256SUMS"), "utf8");
    expect(sums).toContain(`${sha256(readFileSync(MODEL))}  ${name}\n`);
    expect(sums).toContain(`${sha256(readFileSync(at("run", "card", "plan.json")))}  plan.json\n`);
    expect(stdout).toContain("hf upload me/Tiny-GGUF run/card .\n\nnext: prism upload run me/Tiny-GGUF");
    expect(stderr).toContain("--base-model");
  });

  it("makes one card of a family in a folder that is named", async () => {
    expect((await prism(["report", "run", "other", "--card"], folder.path)).code).toBe(2);
    const made = await prism(["report", "run", "other", "--card", "-o", "family", "--json"], folder.path);
    expect(made.code).toBe(0);
    expect(JSON.parse(made.stdout)).toMatchObject({
      written: expect.arrayContaining(["family/README.md", "family/SHA256SUMS", "family/pareto.png"]),
    });
    // the second has no planned file any more
    const { files } = JSON.parse(made.stdout);
    expect(files.filter(({ kind }: { kind: string }) => kind === "model")).toHaveLength(1);
    expect(new Set(files.map(({ publishAs }: { publishAs: string }) => publishAs)).size).toBe(files.length);
    expect(made.stderr).toContain("is not in its run any more");
    // both are of one model
    const card = readFileSync(at("family", "README.md"), "utf8");
    expect(card.match(/^# Tiny: PRISM/gm)).toHaveLength(1);
    expect(card.match(/^\| source /gm)).toHaveLength(1);
    expect((await prism(["report", "run", "other", "--card", "-o", "family"], folder.path)).code).toBe(2);
  });

  it("says which memory the files of a family fit, and lists each by its tag", async () => {
    const { run: members } = familyInMemory();
    for (const part of ["plans", "models"]) mkdirSync(at("members", part), { recursive: true });
    // trained on 32k, as its header says
    const long = readFileSync(MODEL);
    const key = Buffer.from("llama.context_length");
    long.writeUInt32LE(32768, long.indexOf(key) + key.length + 4);
    const points = members.sweep?.points.map(({ feedback, ...point }) => {
      writeFileSync(at("members", point.path ?? ""), long);
      writeFileSync(at("members", point.plan), serializePlan(plan));
      return { ...point, sha256: sha256(long), feedback: undefined };
    });
    const named = { ...members, sweep: { ...members.sweep, points } };
    writeFileSync(at("members", "state.json"), JSON.stringify(named));
    writeFileSync(at("members", "plans", "plan.json"), serializePlan(plan));
    const made = await prism(["report", "members", "--card", "--repo", "me/Tiny"], folder.path);
    expect(made.stderr).not.toContain("error");
    expect(made.code).toBe(0);
    const card = readFileSync(at("members", "card", "README.md"), "utf8");
    expect(card).toContain("| GPU memory at 8k | GPU memory at 32k |");
    const lines = card.split("\n").filter((line) => /^\| `Tiny-PRISM-.*GiB/.test(line));
    expect(lines).toHaveLength(3);
    const tags = [...card.matchAll(/`llama-server -hf me\/Tiny:(\w+)`/g)].map(([, tag]) => tag);
    expect(new Set(tags).size).toBe(3);
    for (const tag of tags)
      expect(made.stdout).toMatch(new RegExp(`hf upload me/Tiny members/models/plan-[^]*?-${tag}\\.gguf`));
    expect(existsSync(at("members", "card", "evaluation.json"))).toBe(true);
    await rm(at("members"), { recursive: true });
  });

  it.each([
    [["report", "run/plans/plan.json", "--card", "-o", "x"], /a card is made of a run/],
    [["report", "run", "other"], /one report is of one/],
    [["report", "run", "--card", "--base-model", "no such"], /OWNER\/NAME/],
  ])("says what is wrong with %j", async (words, message) => {
    const { code, stderr } = await prism(words, folder.path);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describe("prism report --svg --png --csv", () => {
  it("writes every picture and every table, and replaces nothing unless forced", async () => {
    const words = ["report", "run", "--svg", "out/svg", "--png", "out/png", "--csv", "out/csv", "--theme", "dark"];
    const { code, stdout } = await prism([...words, "--json"], folder.path);
    expect(code).toBe(0);
    const names = (part: string) => readdirSync(at("out", part)).map((name) => name.replace(/\.\w+$/, ""));
    expect(names("svg")).toEqual(expect.arrayContaining(["pareto-kld", "pareto-ppl", "classes", "map-type"]));
    expect(names("png")).toEqual(names("svg"));
    expect(names("csv").filter((name) => !names("svg").includes(name))).toEqual(["results", "tensors"]);
    expect(JSON.parse(stdout).files).toHaveLength(names("svg").length * 3 + 2);
    expect(readFileSync(at("out", "svg", "map-type.svg"), "utf8")).toContain("#171b20");
    expect((await prism(words, folder.path)).code).toBe(2);
    rmSync(at("out"), { recursive: true });
  });
});

describe("prism show", () => {
  it("shows a run in 80 columns without colour where there is no terminal", async () => {
    const { code, stdout } = await prism(["show", "run"], folder.path, { FORCE_COLOR: "1" });
    expect(code).toBe(0);
    expect(stdout).toContain("MAP of types");
    expect(stdout).toContain("SIZE AGAINST QUALITY");
    expect(stdout).toContain("the plan beats Q3_K_M");
    expect(stdout).not.toContain("\u001b");
    const prose = stdout.split("\n").filter((line) => !line.startsWith("next: "));
    expect(Math.max(...prose.map((line) => [...line].length))).toBeLessThanOrEqual(80);
    expect(JSON.parse((await prism(["show", "run", "--json"], folder.path)).stdout).schema).toBe("prism.run/1");
  });

  it("explains a tensor of a run's plan", async () => {
    const { stdout } = await prism(["show", "run", "--explain", "blk.0.ffn_down.weight"], folder.path);
    expect(stdout).toContain("blk.0.ffn_down.weight");
  });
});

describe("a run whose files were changed after it", () => {
  const sealed = (name: string) => {
    const planned = readFileSync(at("run", "models", "plan.gguf"));
    const file = { path: "models/plan.gguf", fileBytes: planned.length, sha256: sha256(planned) };
    const kept = [
      { path: "plans/plan.json", fileBytes: 1, sha256: sha256(readFileSync(at("run", "plans", "plan.json"))) },
    ];
    cpSync(at("run"), at(name), { recursive: true });
    writeFileSync(at(name, "state.json"), JSON.stringify({ ...run, outputs: [file], kept }));
  };

  it.each([
    ["models", "plan.gguf"],
    ["plans", "plan.json"],
  ])("has no card, and a report that says so: %s/%s", async (...path) => {
    sealed("changed");
    expect((await prism(["report", "changed", "--card", "--force"], folder.path)).code).toBe(0);
    const file = at("changed", ...path);
    const bytes = readFileSync(file);
    // the last byte of a model is a weight; a plan may end with another line
    writeFileSync(
      file,
      path[0] === "plans" ? `${bytes}\n` : Buffer.from([...bytes.subarray(0, -1), (bytes.at(-1) ?? 0) ^ 1]),
    );
    const card = await prism(["report", "changed", "--card", "--force"], folder.path);
    expect(card.code).toBe(1);
    expect(card.stderr).toContain(`${path.join("/")}: was changed after the run measured it`);
    const report = await prism(["report", "changed"], folder.path);
    expect(report.code).toBe(0);
    expect(report.stderr).toContain(`! ${path.join("/")} was changed after the run`);
    expect(readFileSync(at("changed", "report.html"), "utf8")).toContain(`${path.join("/")} was changed after the run`);
    rmSync(at("changed"), { recursive: true });
  });
});
