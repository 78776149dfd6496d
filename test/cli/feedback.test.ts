import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MODEL, prism, scratchFolder, startPrism } from "./prism.ts";

const scratch = scratchFolder();
const dir = scratch.path;
afterAll(scratch.remove);

const TEXTS = resolve(import.meta.dirname, "../../data/calibration");
const QUANTIZE = [
  "quantize",
  "plan.json",
  "--feedback",
  "--calibration",
  "prose.txt",
  "dialogue.txt",
  "--threads",
  "1",
];

beforeAll(async () => {
  for (const [kind, characters] of Object.entries({ prose: 3_000, dialogue: 6_000 })) {
    const text = await readFile(join(TEXTS, `${kind}.txt`), "utf8");
    await writeFile(join(dir, `${kind}.txt`), text.slice(0, characters));
  }
  expect((await prism(["plan", MODEL, "--like", "Q3_K_M", "-o", "plan.json"], dir)).code).toBe(0);
});

const NAMES = { inputs: /^[0-9a-f]+$/, codes: /\.(codes|choice)$/ };

/** What is whole in a folder of the cache. */
async function kept(folder: keyof typeof NAMES): Promise<string[]> {
  const path = join(dir, "cache", folder);
  const names = await readdir(path, { recursive: true }).catch(() => []);
  return names.filter((name) => NAMES[folder].test(name)).map((name) => join(path, name));
}

/** Kill the command, not asking it, once there is so much in the cache. */
async function killAt(folder: keyof typeof NAMES, files: number): Promise<string> {
  const { child, outcome } = startPrism([...QUANTIZE, "-o", "killed.gguf"], dir);
  while (child.exitCode === null && (await kept(folder)).length < files) await setTimeout(2);
  child.kill("SIGKILL");
  const { code, stderr } = await outcome;
  expect(code).toBeNull();
  return stderr;
}

describe("prism quantize --feedback", () => {
  it("goes on after kill -9, with the same bytes, and takes no damaged codes", async () => {
    const whole = await prism([...QUANTIZE, "-o", "whole.gguf", "--no-cache"], dir);
    expect(whole.code).toBe(0);
    expect(whole.stderr).toMatch(/quantizing whole\.gguf\ninputs of the weights\nchoosing codes\n$/);
    expect([await kept("inputs"), await kept("codes")]).toEqual([[], []]);

    expect(await killAt("inputs", 1)).not.toContain("sums of inputs");
    const second = await killAt("codes", 30);
    expect(second).toMatch(/using sums of inputs from the cache/);
    expect(second).not.toContain("going on");
    const third = await killAt("codes", 70);
    expect(third).toMatch(/using sums of inputs from the cache\n/);
    expect(tensorsOf(third)).toBeGreaterThan(10);

    const codes = (await kept("codes")).filter((path) => path.endsWith(".codes"));
    const [damaged] = codes as [string];
    const bytes = await readFile(damaged);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
    await writeFile(damaged, bytes);
    const last = await prism([...QUANTIZE, "-o", "killed.gguf"], dir);
    expect(last.code).toBe(0);
    expect(last.stderr).toMatch(/using sums of inputs from the cache\n/);
    expect(last.stderr).toContain(`${damaged} is damaged`);
    expect(tensorsOf(last.stderr)).toBeGreaterThan(tensorsOf(third));
    expect((await readFile(join(dir, "killed.gguf"))).equals(await readFile(join(dir, "whole.gguf")))).toBe(true);
    // what is of no more use is gone, and what a killed process left
    expect(await kept("codes")).toEqual([]);
    expect((await readdir(dir)).filter((name) => name.endsWith(".part"))).toEqual([]);
    expect(await kept("inputs")).toHaveLength(1);
  });

  it("refuses text that leaves nothing to judge codes by, before any work", async () => {
    await writeFile(join(dir, "one.txt"), (await readFile(join(dir, "prose.txt"), "utf8")).slice(0, 1_500));
    const args = ["quantize", "plan.json", "--feedback", "--calibration", "one.txt", "-o", "none.gguf"];
    const { code, stderr } = await prism(args, dir);
    expect(stderr).toMatch(
      /^prism: one\.txt holds one context of 256 tokens, which leaves nothing to judge codes by; give a text of at least 512 tokens, or a second one/,
    );
    expect(code).toBe(2);
    await writeFile(join(dir, "few.txt"), "few words");
    const few = await prism(["quantize", "plan.json", "--feedback", "--calibration", "few.txt"], dir);
    expect(few.stderr).toMatch(/^prism: few\.txt has \d+ tokens, fewer than a context of 256/);
  });
});

describe("prism plan --feedback", () => {
  const texts = ["--calibration", "prose.txt", "dialogue.txt", "--threads", "1"];

  it("counts with what feedback leaves, says so, and says how to make the file", async () => {
    const { code, stdout, stderr } = await prism(
      ["plan", MODEL, "--like", "Q3_K_M", "--feedback", ...texts, "-o", "counted.json"],
      dir,
    );
    expect([code, stderr]).toEqual([0, expect.stringMatching(/what feedback mends\n$/)]);
    expect(stdout).toMatch(/^feedback +counted with; text: 2 files$/m);
    expect(stdout.replaceAll(/ \\\n +/g, " ")).toContain(
      "\nnext: prism quantize counted.json --feedback --calibration prose.txt dialogue.txt\n",
    );
    const lossOf = async (name: string) => JSON.parse(await readFile(join(dir, name), "utf8")).predicted.loss as number;
    expect(await lossOf("counted.json")).toBeLessThan(0.8 * (await lossOf("plan.json")));
    await prism(["analyze", MODEL, "--feedback", ...texts, "-o", "measured.json"], dir);
    const again = await prism(["plan", "measured.json", "--like", "Q3_K_M", "-o", "again.json"], dir);
    expect([again.code, again.stdout]).toEqual([0, expect.not.stringMatching(/^feedback/m)]);
    expect(await lossOf("again.json")).toBe(await lossOf("plan.json"));
    const stock = await prism(["quantize", "counted.json", "-o", "stock.gguf"], dir);
    expect(stock.stderr).toContain("the plan counts with codes chosen with error feedback; without --feedback");
  });

  it("refuses what it can't measure, before any work", async () => {
    await prism(["analyze", MODEL, "-o", "a.json"], dir);
    const refusals = [
      [
        ["plan", "a.json", "--like", "Q3_K_M", "--feedback", "-o", "none.json"],
        /the analysis doesn't say what it leaves; give it to prism analyze/,
      ],
      [
        ["plan", MODEL, "--like", "Q3_K_M", ...texts, "-o", "none.json"],
        /--calibration FILE is what --feedback reads; give both/,
      ],
      [["plan", "a.json", "--like", "Q3_K_M", ...texts, "-o", "none.json"], /--calibration: the analysis says what/],
      [
        ["plan", "--from", "plan.json", "--feedback", "-o", "none.json"],
        /--feedback: --from prices as the plan was made/,
      ],
      [["analyze", "hf:owner/repo/model.gguf", "--feedback", "-o", "b.json"], /leave --feedback out: it decodes text/],
      [["analyze", MODEL, "--feedback", "--calibration", "absent.txt", "-o", "b.json"], /absent\.txt/],
    ] as const;
    for (const [args, message] of refusals) {
      const { code, stderr } = await prism([...args], dir);
      expect([code !== 0, stderr]).toEqual([true, expect.stringMatching(message)]);
    }
    expect(await readdir(dir)).not.toContain("b.json");
  });
});

/** How many tensors stderr says were chosen before. */
function tensorsOf(stderr: string): number {
  return Number(/going on with the codes of (\d+) tensors that were chosen before/.exec(stderr)?.[1] ?? 0);
}
