import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compileKernels } from "../../src/kernels/compile-kernels.ts";
import { checksumProblem, findLibrary, libraryProblem } from "../../src/kernels/find-library.ts";
import { prebuiltName, THIS_PLATFORM } from "../../src/kernels/kernel-files.ts";

const folder = mkdtempSync(join(tmpdir(), "prism-find-library-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const found = findLibrary();
const cache = join(folder, "cache");

/** A library whose constructor is `body`, or undefined where there is no compiler. */
async function libraryThat(name: string, body: string): Promise<string | undefined> {
  const source = join(folder, `${name}.cpp`);
  writeFileSync(source, `#include <csignal>\nstruct Start { Start() { ${body} } } start;\n`);
  const output = join(folder, `${name}.so`);
  const compiled = await compileKernels({ output, sources: [source] });
  if (!compiled.ok && !compiled.noCompiler) throw new Error(compiled.problem);
  return compiled.ok ? output : undefined;
}

describe("a library that is tried in a process of its own", () => {
  it.skipIf(typeof found === "string")("passes once, which is remembered by its checksum", () => {
    if (typeof found === "string") return;
    expect(libraryProblem(found.path, cache)).toBeUndefined();
    const remembered = readdirSync(join(cache, "kernels/passed"));
    expect(remembered).toHaveLength(1);
    expect(libraryProblem(found.path, cache)).toBeUndefined();
    expect(readdirSync(join(cache, "kernels/passed"))).toEqual(remembered);
  });

  it("is refused by name where it is no library, and is tried again the next time", () => {
    const broken = join(folder, "broken.so");
    writeFileSync(broken, "not a library");
    for (const _ of [1, 2]) {
      const problem = libraryProblem(broken, cache);
      expect(problem).toContain(`${broken} can't be loaded: `);
    }
  });

  it.each(["SIGILL", "SIGSEGV", "SIGBUS", "SIGABRT"])("ends that process and not this one by %s", async (signal) => {
    const crashing = await libraryThat(signal, `signal(${signal}, SIG_DFL); raise(${signal});`);
    if (crashing === undefined) return;
    expect(libraryProblem(crashing, cache)).toBe(
      `${crashing} crashed (${signal}) when it was tried in a process of its own`,
    );
  });

  it.skipIf(typeof found === "string")("is refused where it lost its end", () => {
    if (typeof found === "string") return;
    const bytes = readFileSync(found.path);
    const cut = join(folder, "cut.so");
    writeFileSync(cut, bytes.subarray(0, bytes.length / 2));
    expect(libraryProblem(cut, cache)).toContain(cut);
  });
});

it("a prebuilt library is refused by its checksum before anything loads it", () => {
  const path = join(folder, "prebuilt", prebuiltName());
  mkdirSync(join(folder, "prebuilt", THIS_PLATFORM), { recursive: true });
  writeFileSync(path, "library");
  expect(checksumProblem(path, join(folder, "prebuilt"))).toMatch(/can't be checked/);
  const sum = createHash("sha256").update("library").digest("hex");
  writeFileSync(join(folder, "prebuilt/checksums.json"), JSON.stringify({ [prebuiltName()]: sum }));
  expect(checksumProblem(path, join(folder, "prebuilt"))).toBeUndefined();
  writeFileSync(path, "Library");
  expect(checksumProblem(path, join(folder, "prebuilt"))).toBe(
    `${path} is damaged: its SHA-256 is not the one it was packed with`,
  );
});

describe("the first use of a package without a library that fits", () => {
  const root = join(import.meta.dirname, "../..");
  const copy = join(folder, "package");
  for (const part of ["dist", "native-kernels/src", "package.json"]) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  const script = join(copy, "use.mjs");
  writeFileSync(
    script,
    `import { compileMissingKernels } from "./dist/kernels/compile-kernels.js";
    import { findLibrary } from "./dist/kernels/find-library.js";
    const notes = [];
    await compileMissingKernels({ note: (text) => notes.push(text) });
    console.log(JSON.stringify({ notes, found: findLibrary() }));`,
  );
  const use = (env: NodeJS.ProcessEnv) => {
    const { stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8", env });
    expect(stderr).toBe("");
    return JSON.parse(stdout) as { notes: string[]; found: unknown };
  };

  it("compiles it into the cache, once", ({ skip }) => {
    const env = { ...process.env, PRISM_CACHE_DIR: join(folder, "first-use") };
    const first = use(env);
    if (first.notes[1]?.includes("no C++ compiler")) skip("no C++ compiler");
    expect(first.notes).toEqual([expect.stringMatching(/^compiling the native kernels, once/)]);
    expect(first.found).toMatchObject({ origin: "compiled", path: expect.stringContaining("first-use") });
    expect(use(env)).toEqual({ notes: [], found: first.found });
  });

  it("names one that was damaged since, loads it nowhere, and compiles it again", ({ skip }) => {
    const env = { ...process.env, PRISM_CACHE_DIR: join(folder, "first-use") };
    const before = use(env).found;
    if (typeof before === "string") return skip("no C++ compiler");
    const { path } = before as { path: string };
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] = ~(bytes[bytes.length >> 1] as number);
    writeFileSync(path, bytes);
    const { notes, found } = use(env);
    expect(notes[0]).toBe(`! ${path} is damaged: its SHA-256 is not the one it was compiled with`);
    expect(notes[1]).toMatch(/^compiling the native kernels/);
    expect(found).toEqual(before);
  });

  it.skipIf(process.platform === "win32")("a library that is cut while it is loaded ends nobody", ({ skip }) => {
    const env = { ...process.env, PRISM_CACHE_DIR: join(folder, "first-use") };
    const found = use(env).found;
    if (typeof found === "string") return skip("no C++ compiler");
    const cut = join(copy, "cut.mjs");
    writeFileSync(
      cut,
      `import { truncateSync } from "node:fs";
      import { openLibrary } from "./dist/kernels/native-library.js";
      import { selfCheckProblem } from "./dist/kernels/native-self-check.js";
      const library = openLibrary();
      truncateSync(${JSON.stringify((found as { path: string }).path)}, 4096);
      console.log(selfCheckProblem(library) ?? "right");`,
    );
    const { stdout, signal } = spawnSync(process.execPath, [cut], { encoding: "utf8", env });
    expect({ stdout, signal }).toEqual({ stdout: "right\n", signal: null });
  });

  it("does not compile again what failed its try", () => {
    const compiler = join(folder, "writes-nonsense");
    const script = 'for a; do [ "$p" = -o ] && echo nonsense > "$a"; p=$a; done';
    writeFileSync(compiler, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const env = { ...process.env, CXX: compiler, PRISM_CACHE_DIR: join(folder, "nonsense") };
    expect(use(env).notes).toEqual([
      expect.stringMatching(/^compiling/),
      expect.stringMatching(/^! no native kernels: .* can't be loaded: /),
    ]);
    const { notes, found } = use(env);
    expect(notes).toEqual([]);
    expect(found).toMatch(/^\S+ can't be loaded: /);
    expect(found).not.toContain("compiling the native kernels failed");
  });

  it("goes on without where the compiler fails, and does not call it again", () => {
    const env = { PATH: folder, CXX: process.execPath, PRISM_CACHE_DIR: join(folder, "failing") };
    const first = use(env);
    expect(first.notes).toEqual([
      expect.stringMatching(/^compiling/),
      expect.stringMatching(/^! no native kernels: .* failed: /),
    ]);
    expect(first.found).toMatch(/^compiling the native kernels failed: .* failed: /);
    expect(use(env)).toEqual({ notes: [], found: first.found });
  });

  it("says so where there is no compiler", () => {
    const env = { PATH: folder, PRISM_CACHE_DIR: join(folder, "without") };
    expect(use(env).found).toBe("compiling the native kernels failed: no C++ compiler (c++, clang++, g++)");
  });
});
