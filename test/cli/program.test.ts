import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeGguf } from "../../src/gguf/writer.ts";
import { MODEL, prism, scratchFolder, startPrism } from "./prism.ts";

const folder = scratchFolder();
const at = (name: string) => join(folder.path, name);
const run = (...args: string[]) => prism(args, folder.path);

beforeAll(() => {
  copyFileSync(MODEL, at("truncated.gguf"));
  truncateSync(at("truncated.gguf"), 5_000_000);
  writeFileSync(at("text.gguf"), "just some text, and more of it than a header has");
  mkdirSync(at("a folder"));
});
afterAll(folder.remove);

describe("prism", () => {
  it.each(["run", "plan", "evaluate"])("lists the many options of %s under headings, none left over", async (verb) => {
    const { stdout } = await run(verb, "--help");
    expect(stdout).toMatch(/\n(What to aim for|Output):\n/);
    expect(stdout).toMatch(/\nIn general:\n/);
    expect(stdout).not.toContain("\nOptions:\n");
  });

  it("prints help without arguments, and its version", async () => {
    const help = await run();
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const verb of ["inspect", "analyze", "plan", "show", "doctor"]) expect(help.stdout).toContain(`\n  ${verb} `);
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
      version: string;
    };
    expect(await run("--version")).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  it("exits with 2 for a wrong command line and says how to go on", async () => {
    const unknown = await run("inspct", "x");
    expect(unknown).toMatchObject({ code: 2, stdout: "" });
    expect(unknown.stderr).toMatch(/^prism: unknown command 'inspct'\n.*inspect/);
    const option = await run("inspect", "--exact", MODEL);
    expect(option.code).toBe(2);
    expect(option.stderr).toBe("prism: unknown option '--exact'\ntype prism inspect --help for its options\n");
    expect((await run("inspect")).code).toBe(2);
    expect(await run("shard", "run", "campaign", "--exact")).toMatchObject({
      code: 2,
      stderr: "prism: unknown option '--exact'\ntype prism shard run --help for its options\n",
    });
    expect((await run("analyze", MODEL, "--threads", "none")).stderr).toBe(
      'prism: --threads: expected a whole number from 1 to 1024, got "none"\n',
    );
    expect((await run("evaluate", MODEL, "--gpu-layers", "most")).stderr).toBe(
      'prism: --gpu-layers: expected a whole number, all or auto, got "most"\n',
    );
  });

  it("says in one line what is wrong with a file, and exits with 1", async () => {
    const cases = [
      ["absent.gguf", /^prism: absent\.gguf: no such file; .+\n$/, undefined],
      [
        "truncated.gguf",
        /^prism: truncated\.gguf: gguf: .* ends at [\d,]+ bytes but the file has 5,000,000; .+\n$/,
        "truncated",
      ],
      ["text.gguf", /^prism: text\.gguf: gguf: expected the magic "GGUF".* not a GGUF file\n$/, "unreadable"],
      ["a folder", /^prism: a folder: is a directory; .+\n$/, undefined],
    ] as const;
    for (const [path, message, code] of cases) {
      const outcome = await run("inspect", path, "--json");
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toMatch(message);
      if (code === undefined) expect(JSON.parse(outcome.stdout)).toMatchObject({ error: { code: "file", path } });
      else expect(JSON.parse(outcome.stdout)).toMatchObject({ findings: [{ code, severity: "error" }] });
    }
  });

  it("ends quietly when the reader of its output goes away", async () => {
    const { child, outcome } = startPrism(["inspect", MODEL], folder.path);
    child.stdout?.destroy();
    expect(await outcome).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("prism inspect", () => {
  it("prints tables, the exact size of the presets, findings, and the next command", async () => {
    const { code, stdout, stderr } = await run("inspect", MODEL);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("Books Llama 8M");
    expect(stdout).toMatch(/^ffn_down +8 +1,572,864 +3,145,728 /m);
    expect(stdout).toMatch(/^Q3_K_M +4,486,464 /m);
    expect(stdout).toContain("info chat-template-missing");
    expect(stdout.replaceAll(/ \\\n +/g, " ")).toContain(`\nnext: prism plan ${MODEL} --like Q3_K_M\n`);
    expect(
      Math.max(
        ...stdout
          .split("\n")
          .slice(1, -2)
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(100);
    expect(stdout).not.toContain("\u001b");
  });

  it("leads on to a plan that fits the memory, with the options that were given", async () => {
    const cache = ["--kv", "q8_0", "--parallel", "2"];
    const { stdout } = await run("inspect", MODEL, "--vram", "552MB", "--ctx", "32k", ...cache);
    expect(stdout).toMatch(/^Nothing fits 552\.00 MB at 32,768 tokens; up to [\d,]+ tokens would, in the/m);
    expect(stdout).not.toContain("*");
    const next = /\nnext: prism (.*)/s.exec(stdout)?.[1]?.replaceAll("\\\n", " ").trim().split(/\s+/) ?? [];
    const [, , , , , context] = next;
    expect(next).toEqual(["plan", MODEL, "--vram", "552MB", "--ctx", context, ...cache]);
    expect(Number(context)).toBeGreaterThanOrEqual(1024);
    expect((await run(...next)).code).toBe(0);
  });

  it("leads on to the longest context that fits of those that were given, and to nothing where none does", async () => {
    const some = await run("inspect", MODEL, "--vram", "560MB", "--ctx", "1k,2k,32k");
    expect(some.stdout).toContain("\n*: fits 560.00 MB.");
    expect(some.stdout.replaceAll("\\\n", "").replaceAll(/ +/g, " ")).toContain("--vram 560MB --ctx 2048\n");
    const none = await run("inspect", MODEL, "--vram", "540MB");
    expect(none.stdout).toContain("\nNothing fits 540.00 MB at 256 tokens, nor at a shorter one.");
    expect(none.stdout).not.toContain("next:");
  });

  it("does not lead on to a plan of what is quantized already", async () => {
    const tensors = [{ name: "blk.0.ffn_up.weight", shape: [256, 4], type: "Q4_K" }] as const;
    const keyValues = [{ key: "general.architecture", type: "string", value: "llama" }] as const;
    await writeGguf(join(folder.path, "quantized.gguf"), { keyValues, tensors });
    const { stdout } = await run("inspect", "quantized.gguf");
    expect(stdout).toContain("error already-quantized");
    expect(stdout).not.toContain("next:");
  });

  it("prints one JSON document with --json", async () => {
    const { code, stdout, stderr } = await run("inspect", MODEL, "--json");
    expect([code, stderr]).toEqual([0, ""]);
    const inspection = JSON.parse(stdout);
    expect(inspection).toMatchObject({ schema: "prism.inspection/1", arch: "llama", tensors: 75, fileType: "F16" });
    expect(inspection.findings[0]).toEqual({
      code: "chat-template-missing",
      severity: "info",
      effect: "differs",
      repairable: false,
      message: expect.any(String),
      remedy: expect.any(String),
    });
    expect(
      inspection.classes.map(({ bytes }: { bytes: number }) => bytes).reduce((a: number, b: number) => a + b),
    ).toBe(inspection.tensorBytes);
    expect(inspection.metadata["llama.block_count"]).toBe(8);
    expect(inspection.engine).toEqual({ verdict: "loads" });
  });
});
