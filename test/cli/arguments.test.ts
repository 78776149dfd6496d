import { readFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readArguments } from "../../src/cli/arguments.ts";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
beforeAll(() => copyFile(MODEL, join(folder.path, "m.gguf")));
afterAll(folder.remove);
const run = (...args: string[]) => prism(args, folder.path);

const WRITERS = ["run", "analyze", "plan", "quantize", "evaluate", "imatrix", "prior", "report", "repair", "upload"];

describe("the command line", () => {
  it("reads help as --help, and --output as --out, up to --", () => {
    expect(readArguments(["help"])).toEqual(["--help"]);
    expect(readArguments(["help", "run"])).toEqual(["run", "--help"]);
    expect(readArguments(["help", "run", "--json"])).toEqual(["run", "--help", "--json"]);
    expect(readArguments(["help", "--json"])).toEqual(["--help", "--json"]);
    expect(readArguments(["help", "runn"])).toEqual(["runn"]);
    expect(readArguments(["plan", "m", "--output", "x", "--output=y", "--", "--output"])).toEqual([
      "plan",
      "m",
      "--out",
      "x",
      "--out=y",
      "--",
      "--output",
    ]);
    expect(readArguments(["plan", "help", "--outputs"])).toEqual(["plan", "help", "--outputs"]);
  });

  it("shows help of a command both ways, and says which commands there are to a wrong one", async () => {
    const [asked, usual, all, wrong] = await Promise.all([
      run("help", "run"),
      run("run", "--help"),
      run("help"),
      run("help", "runn"),
    ]);
    expect([asked.code, asked.stdout]).toEqual([0, usual.stdout]);
    expect(asked.stdout).toContain("Usage: prism run ");
    expect([all.code, all.stdout.includes("prism help COMMAND")]).toEqual([0, true]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/unknown command 'runn'/);
  }, 60_000);

  it("calls what is written -o and --out in every command", async () => {
    const helps = await Promise.all(WRITERS.map((verb) => run(verb, "--help")));
    for (const { stdout } of helps) expect(stdout).toMatch(/^ {2}-o, --out <(file|dir|path)> /m);
  }, 60_000);

  it("writes to -o, --out and --output alike", async () => {
    for (const [index, flag] of ["-o", "--out", "--output"].entries()) {
      const { code, stderr } = await run("analyze", "m.gguf", flag, `${index}.json`);
      expect(code, stderr).toBe(0);
      expect(JSON.parse(readFileSync(join(folder.path, `${index}.json`), "utf8"))).toHaveProperty("schema");
    }
    expect((await run("report", "0.json", "--out", "r.html")).code).toBe(0);
    expect((await run("plan", "0.json", "--like", "Q4_K_M", "--out", "p.json")).code).toBe(0);
    expect((await run("quantize", "p.json", "--out", "q.gguf")).code).toBe(0);
    expect(readFileSync(join(folder.path, "q.gguf")).subarray(0, 4).toString()).toBe("GGUF");
  }, 120_000);
});
