/** prism plan --template: the types of another file, through the built program. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeRunnable } from "../fixtures/runnable.ts";
import { prism as runPrism, scratchFolder } from "./prism.ts";

const { path: dir, remove } = scratchFolder();
afterAll(remove);

const prism = (...args: string[]) => runPrism(args, dir);
const typesOf = (json: string) =>
  JSON.parse(json).tensors.map(({ name, type }: { name: string; type: string }) => `${name} ${type}`);

let model = "";
let types: string[] = [];

beforeAll(async () => {
  model = await writeRunnable("llama", dir);
  expect((await prism("analyze", model, "-o", "a.json")).code).toBe(0);
  const planned = await prism("plan", "a.json", "--bpw", "5.5", "-o", "plan.json", "--json");
  expect(planned.code).toBe(0);
  types = typesOf(planned.stdout);
  expect(new Set(types.map((line) => line.split(" ")[1])).size).toBeGreaterThan(2);
  expect((await prism("quantize", "plan.json", "-o", "q.gguf")).code).toBe(0);
});

test("a GGUF, a plan, a tensor-types.txt, a custom-q.txt and a recipe with comments give the same types", async () => {
  const recipe = `## Quant mix recipe\n# Model name: x\n\n${await readFile(join(dir, "tensor-types.txt"), "utf8")}`;
  await writeFile(join(dir, "x.recipe"), recipe);
  for (const template of ["q.gguf", "plan.json", "tensor-types.txt", "custom-q.txt", "x.recipe"]) {
    const { code, stdout, stderr } = await prism(
      "plan",
      "a.json",
      "--template",
      template,
      "-o",
      "t.json",
      "--json",
      "--force",
    );
    expect({ template, code, stderr: stderr.replace(/^.*without it.*$/gm, "").trim() }).toMatchObject({
      template,
      code: 0,
    });
    expect(typesOf(stdout)).toEqual(types);
    expect(JSON.parse(stdout)).toMatchObject({ mode: "recipe", budget: { text: `--template ${template}` } });
  }
});

test("a template that does not fit is refused with the remedy, before the model is analysed", async () => {
  await writeFile(join(dir, "ik.recipe"), "token_embd=q8_0\n.*=iq4_ks\n");
  await writeFile(join(dir, "part.txt"), "ffn_down=q8_0\n");
  const other = await writeRunnable("qwen35", dir);
  for (const [template, more, message] of [
    ["ik.recipe", [], /ik\.recipe: line 2: IQ4_KS is a type of ik_llama\.cpp/],
    ["part.txt", [], /part\.txt: it gives .* no type; say with --base/],
    ["part.txt", ["--base", "nothing"], /--base nothing: not a preset/],
    [other, [], /is for qwen35 models and this one is llama/],
    ["q.gguf", ["--bpw", "4"], /--bpw: --template takes the types of that file; leave --bpw out/],
    ["q.gguf", ["--recipe", "q.gguf"], /--recipe is another name of --template/],
  ] as const) {
    const { code, stdout, stderr } = await prism("plan", model, "--template", template, ...more, "-o", "no.json");
    expect({ template, stdout, failed: code === 1 || code === 2 }).toEqual({ template, stdout: "", failed: true });
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("analyze:");
  }
  expect((await prism("plan", "a.json", "--like", "Q3_K_M", "--base", "Q4_K_M")).stderr).toMatch(/--base says what/);
});

test("--base gives the tensors that a template leaves out their types", async () => {
  const { code, stdout, stderr } = await prism(
    ...["plan", "a.json", "--template", "part.txt", "--base", "Q4_K_M", "-o", "part.json", "--json"],
  );
  expect(code).toBe(0);
  expect(stderr).toMatch(/are not in part\.txt: what Q4_K_M gives them/);
  const given = Object.fromEntries(typesOf(stdout).map((line: string) => line.split(" ")));
  expect(given).toMatchObject({
    "blk.0.ffn_down.weight": "Q8_0",
    "blk.0.attn_v.weight": "Q4_K",
    "blk.3.attn_v.weight": "Q6_K",
    "blk.3.attn_q.weight": "Q4_K",
    "output.weight": "Q6_K",
  });
});
