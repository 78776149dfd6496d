/** No command writes over what it reads, whatever --force allows and by whatever name the file goes. */
import { copyFileSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const place = scratchFolder();
const at = (name: string) => join(place.path, name);
/** No library is needed: all is refused before. */
const env = { PRISM_ISA: "none" };

beforeAll(async () => {
  copyFileSync(MODEL, at("m.gguf"));
  copyFileSync(MODEL, at("m.bin"));
  const made = await prism(["plan", "m.gguf", "--like", "Q4_K_M", "-o", "plan.json"], place.path, env);
  expect(made.code).toBe(0);
  for (const name of ["text.txt", "set.jsonl", "matrix.dat", "d.json", "recipe.json", "tensor-types.txt"]) {
    writeFileSync(at(name), `{"content of": ${JSON.stringify(name)}}\n`);
  }
  mkdirSync(at("run"));
  mkdirSync(at("run/plans"));
  mkdirSync(at("run/models"));
  copyFileSync(at("plan.json"), at("run/plans/plan.json"));
  copyFileSync(MODEL, at("run/models/plan.gguf"));
  copyFileSync(at("text.txt"), at("run/probes.json"));
  linkSync(at("text.txt"), at("hard"));
  symlinkSync("text.txt", at("soft.json"));
}, 60_000);
afterAll(place.remove);

const CASES: readonly (readonly [file: string, ...args: string[]])[] = [
  ["m.bin", "analyze", "m.bin", "-o", "m.bin"],
  ["matrix.dat", "analyze", "m.gguf", "--imatrix", "matrix.dat", "-o", "./matrix.dat"],
  ["m.bin", "plan", "m.bin", "--bpw", "4", "-o", "m.bin"],
  ["d.json", "plan", "m.gguf", "--bpw", "4", "--sensitivity", "./d.json", "-o", "d.json"],
  ["recipe.json", "plan", "m.gguf", "--recipe", "recipe.json", "-o", "recipe.json"],
  ["tensor-types.txt", "plan", "m.gguf", "--recipe", "tensor-types.txt", "-o", "p/plan.json", "--recipe-dir", "."],
  ["tensor-types.txt", "plan", "--from", "tensor-types.txt", "-o", "p/plan.json", "--recipe-dir", "."],
  ["matrix.dat", "plan", "m.gguf", "--bpw", "4", "--imatrix", "matrix.dat", "-o", "matrix.dat"],
  ["plan.json", "quantize", "plan.json", "-o", "plan.json"],
  ["m.gguf", "quantize", "plan.json", "-o", "m.gguf"],
  ["m.bin", "quantize", "plan.json", "--source", "m.bin", "-o", "m.bin"],
  ["text.txt", "imatrix", "m.gguf", "--text", "text.txt", "-o", "text.txt"],
  ["text.txt", "imatrix", "m.gguf", "--text", "text.txt", "-o", "hard"],
  ["m.gguf", "imatrix", "m.gguf", "-o", "m.gguf"],
  ["m.bin", "evaluate", "m.bin", "--text", "text.txt", "-o", "m.bin"],
  ["m.bin", "evaluate", "m.gguf", "--reference", "m.bin", "-o", "m.bin"],
  ["text.txt", "evaluate", "m.gguf", "--text", "text.txt", "-o", "soft.json"],
  ["set.jsonl", "evaluate", "m.gguf", "--rerank", "set.jsonl", "-o", "set.jsonl"],
  ["run/models/plan.gguf", "run", "run/models/plan.gguf", "--out", "run"],
  ["run/plans/plan.json", "run", "m.gguf", "--text", "run/plans/plan.json", "--out", "run"],
  ["plan.json", "report", "plan.json", "-o", "plan.json"],
];

describe("an output that is an input", () => {
  it.each(CASES.map((args) => [args.slice(1).join(" "), args] as const))("%s --force", async (_, [file, ...args]) => {
    const before = readFileSync(at(file));
    const { code, stderr } = await prism([...args, "--force"], place.path, env);
    expect(stderr).toContain("would be written over; choose another name or place");
    expect(code).toBe(2);
    expect(readFileSync(at(file)).equals(before)).toBe(true);
  });

  it("says which input goes by the other name", async () => {
    const { stderr } = await prism(
      ["evaluate", "m.gguf", "--text", "text.txt", "-o", "hard", "--force"],
      place.path,
      env,
    );
    expect(stderr).toContain("the output hard is the input text.txt by another name");
  });

  it("may be the plan that was edited", async () => {
    const { code, stderr } = await prism(["plan", "--from", "plan.json", "--force"], place.path, env);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });
});
