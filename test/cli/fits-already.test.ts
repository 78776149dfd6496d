import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatSizeAs } from "../../src/numbers.ts";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
afterAll(folder.remove);
const run = (...args: string[]) => prism(args, folder.path);
const isMade = (name: string) => existsSync(join(folder.path, name));

describe("a budget at or above the source", () => {
  beforeAll(() => copyFile(MODEL, join(folder.path, "m.gguf")));

  it("is fitted already: plan and run say so, make nothing, and end well", async () => {
    for (const verb of ["plan", "run"]) {
      const { code, stdout, stderr } = await run(verb, "m.gguf", "--size", "16928064");
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout.replace(/\s+/g, " ")).toContain(
        "it fits already: m.gguf has 16.93 MB, 16.008 bits per weight, within --size 16928064; nothing was made",
      );
    }
    expect([isMade("plan.json"), isMade("prism-run-m"), isMade("recipe.sh")]).toEqual([false, false, false]);
  }, 60_000);

  it("is one of bits, of a preset, and of memory too, and a document with --json", async () => {
    for (const [budget, value] of [
      ["--bpw", "16.1"],
      ["--like", "F16"],
      ["--vram", "2GiB"],
    ] as const) {
      const { code, stdout } = await run("plan", "m.gguf", budget, value, "--json");
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ fitsAlready: true, path: "m.gguf", fileBytes: 16_928_064 });
    }
    expect(isMade("plan.json")).toBe(false);
  }, 60_000);

  it("is none where other types are asked for, nor one byte below", async () => {
    expect((await run("plan", "m.gguf", "--size", "20MB", "--pin", "ffn_down=Q6_K", "-o", "pinned.json")).code).toBe(0);
    expect((await run("plan", "m.gguf", "--size", "16928063", "-o", "below.json")).code).toBe(0);
    expect([isMade("pinned.json"), isMade("below.json")]).toEqual([true, true]);
  }, 60_000);

  it("sees the size of an analysis, whose model is not there", async () => {
    expect((await run("analyze", "m.gguf", "-o", "a.json")).code).toBe(0);
    const { stdout } = await run("plan", "a.json", "--size", "17MB");
    expect(stdout).toContain("it fits already: ");
  }, 60_000);
});

describe("sizes in messages", () => {
  it("have the unit that was typed", async () => {
    expect(formatSizeAs("--size 4GiB", 2 ** 32)).toBe("4.00 GiB");
    expect(formatSizeAs("--vram 6GB --ctx 8192", 6e9)).toBe("6.00 GB");
    expect(formatSizeAs("--size 900mb", 9e8)).toBe("900.00 MB");
    expect(formatSizeAs("--size 1GiB", 2 ** 20)).toBe("1.00 MiB");
    expect(formatSizeAs("--vram 24GB", 31_300)).toBe("31.30 kB");
    expect(formatSizeAs("--vram 24GB", 3.1e8)).toBe("0.31 GB");
    expect(formatSizeAs("--like Q4_K_M", 5e9)).toBe("5.00 GB");
    expect(formatSizeAs("--bpw 4", 5e6)).toBe("5.00 MB");
    const { stdout } = await run("plan", "m.gguf", "--size", "5MiB", "-o", "mib.json");
    expect(stdout).toContain("--size 5MiB: at most 5,242,880 bytes (5.00 MiB)");
    const small = await run("plan", "m.gguf", "--size", "1MiB", "-o", "small.json");
    expect(small.stderr).toMatch(/--size 1MiB allows 1,048,576 bytes \(1\.00 MiB\), but the smallest file .* MiB\)/);
  }, 60_000);
});
