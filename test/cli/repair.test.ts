import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeEdited } from "../fixtures/damaged.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
const run = (...args: string[]) => prism(args, folder.path);

beforeAll(async () => {
  await writeRunnable("causal-reranker", folder.path);
  await writeRunnable("reranker", folder.path);
});
afterAll(folder.remove);

describe("prism repair", () => {
  it("shows what it would do, and writes nothing", async () => {
    const before = await readdir(folder.path);
    const { code, stdout } = await run("repair", "causal-reranker.gguf", "--dry-run", "--json");
    expect(code).toBe(0);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ schema: "prism.repair/1", dryRun: true, refusals: [] });
    expect(document.changes).toHaveLength(4);
    expect(await readdir(folder.path)).toEqual(before);
  });

  it("writes a model that llama.cpp loads, says its SHA-256, and repairs it no more", async () => {
    const { code, stdout } = await run("repair", "causal-reranker.gguf", "-o", "fixed.gguf", "--json");
    expect(code).toBe(0);
    const bytes = await readFile(join(folder.path, "fixed.gguf"));
    expect(JSON.parse(stdout).output).toEqual({
      path: "fixed.gguf",
      fileBytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    });
    const again = await run("repair", "fixed.gguf", "-o", "again.gguf");
    expect(again.stdout).toContain("nothing to repair, and nothing written");
    expect(await readdir(folder.path)).not.toContain("again.gguf");
  });

  it("never replaces the model, nor another file without --force", async () => {
    const source = await readFile(join(folder.path, "causal-reranker.gguf"));
    const other = await readFile(join(folder.path, "reranker.gguf"));
    const same = await run("repair", "causal-reranker.gguf", "-o", "causal-reranker.gguf", "--force");
    expect(same).toMatchObject({ code: 2, stderr: expect.stringContaining("is an input too") });
    const existing = await run("repair", "causal-reranker.gguf", "-o", "reranker.gguf");
    expect(existing).toMatchObject({ code: 2, stderr: expect.stringContaining("exists already") });
    expect(source.equals(await readFile(join(folder.path, "causal-reranker.gguf")))).toBe(true);
    expect(other.equals(await readFile(join(folder.path, "reranker.gguf")))).toBe(true);
  });

  it("keeps no file that llama.cpp does not load", async () => {
    const path = await writeEdited("llama", folder.path, {
      alignment: 64,
      tensors: (tensors) => tensors.filter(({ name }) => name !== "blk.1.ffn_norm.weight"),
    });
    const { code, stderr } = await run("repair", path, "-o", "broken.gguf");
    expect(code).toBe(1);
    expect(stderr).toMatch(/llama\.cpp does not load the repaired file, so it was not kept/);
    expect(await readdir(folder.path)).not.toContain("broken.gguf");
    await rm(path);
  });

  it("needs a name for what it writes", async () => {
    const outcome = await run("repair", "causal-reranker.gguf");
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining("-o") });
  });
});

describe("--strict", () => {
  it("ends with 3 where inspect has a warning, with 0 where it has none", async () => {
    const strict = await run("inspect", "causal-reranker.gguf", "--strict", "--json");
    expect(strict.code).toBe(3);
    expect(JSON.parse(strict.stdout).findings.map(({ code }: { code: string }) => code)).toContain(
      "rank-markers-absent",
    );
    expect(await run("inspect", MODEL, "--strict", "--deep", "--quiet")).toMatchObject({ code: 0, stderr: "" });
  });

  it("stops plan and evaluate before the work", async () => {
    for (const args of [
      ["plan", "causal-reranker.gguf", "--like", "Q4_K_M"],
      ["evaluate", "causal-reranker.gguf", "--text", "fixed.gguf"],
    ]) {
      const outcome = await run(...args, "--strict");
      expect(outcome).toMatchObject({ code: 3, stdout: "", stderr: expect.stringContaining("rank-markers-absent") });
    }
  });
});
