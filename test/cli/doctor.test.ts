import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
afterAll(folder.remove);

interface Report {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly status: string; readonly detail: string }[];
}

it("tries the engine and reports every check as one JSON document", async () => {
  const { code, stdout, stderr } = await prism(["doctor", "--json", "--quiet"], folder.path);
  expect([code, stderr]).toEqual([0, ""]);
  const { ok, checks } = JSON.parse(stdout) as Report;
  expect(ok).toBe(true);
  const detail = (name: string) => checks.find((check) => check.name === name)?.detail;
  expect(detail("engine")).toContain("llama.cpp v0.5.0");
  expect(detail("round trip")).toMatch(/million weights per second$/);
  expect(detail("engine kernels")).toMatch(/^round trips and logits: (C\+\+|TypeScript)/);
  expect(detail("quantize")).toMatch(/ [\d,]+ bytes as predicted$/);
  expect(detail("backend reference")).toMatch(/ \d+ ns per weight, [\d.]+ GB\/s of f32$/);
  expect(detail("native kernels")).toMatch(/^(prebuilt|compiled here): \/|^TypeScript: /);
  expect(detail("backend native")).toMatch(
    /^C\+\+, .* ns per weight, [\d.]+ GB\/s of f32$|^compiling the native kernels failed: /,
  );
  expect(detail("backend webgpu")).toMatch(/GB\/s of f32$|GPU|the package webgpu/);
  expect(detail("backend tfjs")).toMatch(
    /^@tensorflow\/tfjs\S* .* on a GPU; .* GB\/s of f32$|^no TensorFlow\.js package/,
  );
  expect(detail("cache")).toContain(join(folder.path, "cache"));
});

it("exits with 4 and the remedy where the engine that was asked for is not there", async () => {
  const { code, stdout, stderr } = await prism(["doctor", "--llama-dir", "absent"], folder.path);
  expect(code).toBe(4);
  expect(stdout).toMatch(/^engine +missing +llama-quantize was not found in absent/m);
  expect(stdout).toMatch(/-> build llama\.cpp there/);
  expect(stderr).toMatch(/^prism: missing: engine\n/m);
});

it("goes on where the cache can't be written", async () => {
  const file = join(folder.path, "file");
  writeFileSync(file, "");
  const { code, stdout } = await prism(["doctor"], folder.path, { PRISM_CACHE_DIR: join(file, "cache") });
  expect(code).toBe(0);
  expect(stdout.replace(/\s+/g, " ")).toMatch(/ cache absent \S+ can't be written \(.* is a file, not a folder/);
  expect(stdout).toContain("-> set PRISM_CACHE_DIR");
});

it("refuses options that say something of --types alone, and times no programs", async () => {
  const alone = await prism(["doctor", "--force"], folder.path);
  expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining("give --types with it")]);
  const both = await prism(["doctor", "--types", "--build-mtmd"], folder.path);
  expect(both.code).toBe(2);
  const help = await prism(["doctor", "--help"], folder.path);
  expect(help.stdout).toContain("--types");
});
