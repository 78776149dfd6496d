/** prism show and prism plan on a published recipe, through the built program. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeRunnable } from "../fixtures/runnable.ts";
import { MODEL, prism as runPrism, scratchFolder } from "./prism.ts";

const RECIPE = resolve(import.meta.dirname, "../../plans/qwen3.5-0.8b-prism-dq.json");
const { path: dir, remove } = scratchFolder();
afterAll(remove);

const prism = (...args: string[]) => runPrism(args, dir);

test("show prints a recipe as tables and names the next command; --json prints the document", async () => {
  const shown = await prism("show", RECIPE);
  expect(shown).toMatchObject({ code: 0, stderr: "" });
  expect(shown.stdout).toContain("Qwen3.5-0.8B PRISM-DQ");
  expect(shown.stdout).toMatch(
    /^next: prism plan MODEL\.gguf( \\\n {3})? --template .*qwen3\.5-0\.8b-prism-dq\.json$/m,
  );
  expect(JSON.parse((await prism("show", RECIPE, "--json")).stdout)).toEqual(
    JSON.parse(await readFile(RECIPE, "utf8")),
  );
});

test("show refuses --diff and --explain of a recipe, quantize and --from want a plan, plan wants a model", async () => {
  for (const [line, message] of [
    [["show", RECIPE, "--explain", "x"], /is a published recipe, and --diff and --explain need a plan/],
    [["quantize", RECIPE], /is a published recipe, expected a plan; prism plan MODEL --template/],
    [["plan", "--from", RECIPE, "-o", "edited.json"], /is a published recipe, expected a plan/],
    [["plan", RECIPE, "--bpw", "4"], /is a published recipe; apply it to a model/],
  ] as const) {
    const { code, stdout, stderr } = await prism(...line);
    expect({ stdout, failed: code !== 0 }).toEqual({ stdout: "", failed: true });
    expect(stderr).toMatch(message);
  }
});

test("plan --recipe applies a recipe to a model, and every budget beside it is refused", async () => {
  const model = await writeRunnable("qwen35", dir);
  for (const option of [
    ["--bpw", "4"],
    ["--size", "1MB"],
    ["--like", "Q3_K_M"],
    ["--pin", "attn_v=Q6_K"],
  ]) {
    const { code, stderr } = await prism("plan", model, "--recipe", RECIPE, ...option);
    expect(code).toBe(2);
    expect(stderr).toContain(`${option[0]}: --recipe takes the types of the recipe; leave ${option[0]} out`);
  }
  const { code, stdout } = await prism("plan", model, "--recipe", RECIPE, "-o", "dq.json", "--json");
  expect(code).toBe(0);
  const plan = JSON.parse(stdout);
  expect(plan).toMatchObject({ mode: "recipe", baseFileType: "Q3_K_M" });
  // llama-quantize v0.5.0 with the same flags wrote a file of these bytes
  expect(plan.predicted.fileBytes).toBe(1_231_936);
  expect(await readFile(join(dir, "dq.tensor-types.txt"), "utf8")).toContain("ssm_out\\.weight$=iq4_xs");
});

test("plan --recipe refuses a model of another architecture before it is analyzed", async () => {
  const { code, stderr } = await prism("plan", MODEL, "--recipe", RECIPE);
  expect(code).toBe(2);
  expect(stderr).toMatch(/is for qwen35 models and this one is llama/);
  expect(stderr).not.toContain("analyze:");
});
