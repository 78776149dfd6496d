/** Damaged native code, in a copy of PRISM with real copies of what is damaged. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { findEnginePackage, PACKAGE_VERSION } from "../../src/engine/package.ts";
import { PACKAGE_CHECKSUMS } from "../../src/engine/package-checksums.ts";
import { damageOf } from "../../src/engine/package-damage.ts";
import { KOFFI_VERSION, koffiFiles } from "../../src/kernels/koffi.ts";
import packageFiles from "./package-files.json" with { type: "json" };

const ROOT = join(import.meta.dirname, "../..");
const found = findEnginePackage();
const isKnown = found.name in PACKAGE_CHECKSUMS;
const copy = mkdtempSync(join(tmpdir(), "prism-damage-"));
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const COPIED = ["koffi", "@koromix", "@node-llama-cpp"];
cpSync(join(ROOT, "dist"), join(copy, "dist"), { recursive: true });
cpSync(join(ROOT, "package.json"), join(copy, "package.json"));
mkdirSync(join(copy, "node_modules"));
for (const name of readdirSync(join(ROOT, "node_modules"))) {
  const [from, to] = [join(ROOT, "node_modules", name), join(copy, "node_modules", name)];
  if (!COPIED.includes(name)) symlinkSync(from, to, "junction");
  else if (name !== "@node-llama-cpp") cpSync(from, to, { recursive: true });
}
cpSync(found.root, join(copy, "node_modules", found.name), { recursive: true });

/** The same file in the copy. */
const inCopy = (path: string) => join(copy, "node_modules", relative(join(ROOT, "node_modules"), path));

/** What a program of the copy says of its engine while a file of it is damaged; the program itself must not die. */
function openWith(path: string, damage: (path: string) => void): string {
  const kept = join(copy, "kept");
  cpSync(path, kept, { recursive: true });
  damage(path);
  const script = join(copy, "open.mjs");
  writeFileSync(
    script,
    `import { openEmbeddedEngine } from "./dist/engine/embedded.js";
    await openEmbeddedEngine({ threads: 1 }).then(
      (engine) => (console.log("opened"), engine.close()),
      (error) => console.log(error.exitCode, error.message),
    );`,
  );
  try {
    const env = { ...process.env, PRISM_ISA: "none" };
    const { stdout, signal, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8", env });
    expect({ signal, stderr }).toEqual({ signal: null, stderr: "" });
    return stdout.trim();
  } finally {
    rmSync(path, { recursive: true, force: true });
    renameSync(kept, path);
  }
}

const cut = (path: string) => truncateSync(path, statSync(path).size >> 1);
const flip = (path: string) => {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = ~(bytes[bytes.length >> 1] as number);
  writeFileSync(path, bytes);
};

describe("the engine's package", () => {
  it.skipIf(!isKnown)("is the one that was published", () => {
    expect(damageOf(found)).toBeUndefined();
    const version = packageFiles[found.name.slice("@node-llama-cpp/".length) as "linux-x64"]?.version;
    expect(version).toBe(PACKAGE_VERSION);
  });

  it("has checksums of files that its builds have", () => {
    for (const [name, checksums] of Object.entries(PACKAGE_CHECKSUMS)) {
      const { files } = packageFiles[name.slice("@node-llama-cpp/".length) as keyof typeof packageFiles];
      expect(files).toEqual(expect.arrayContaining(Object.keys(checksums)));
    }
  });

  it.skipIf(!isKnown).each([
    ["cut", cut],
    ["flipped", flip],
    ["empty", (path: string) => writeFileSync(path, "")],
  ])("is damaged where a library of it is %s: it is named, with what to do", (_, damage) => {
    for (const path of [found.llama, found.ggml, found.ggmlBase].map(inCopy)) {
      const root = join(copy, "node_modules", found.name);
      expect(openWith(path, damage)).toContain(
        `4 ${path} is damaged: its SHA-256 is not the one it was published with; delete ${root} and type`,
      );
    }
  });

  it("is named with the remedy where a library ends the process and no checksum is known", () => {
    const table = join(copy, "dist/engine/package-checksums.js");
    const sound = readFileSync(table);
    writeFileSync(table, "export const PACKAGE_CHECKSUMS = {};");
    const said = openWith(inCopy(found.ggmlBase), cut);
    writeFileSync(table, sound);
    expect(said).toContain(`4 ${found.name} can't be used here: `);
    expect(said).toContain(`; delete ${join(copy, "node_modules", found.name)} and type`);
  });
});

describe("koffi", () => {
  it.each([
    ["cut", cut],
    ["flipped", flip],
    ["no library", (path: string) => writeFileSync(path, "no library")],
  ])("that is %s is named, and not the engine's package", (_, damage) => {
    for (const path of koffiFiles().map(inCopy)) {
      expect(openWith(path, damage)).toBe(
        `4 koffi (${path}) is damaged: its SHA-256 is not the one it was published with; delete node_modules/koffi and node_modules/@koromix, and type npm install again`,
      );
    }
  });

  it("is named where its addon is gone, which no checksum says", () => {
    const said = openWith(inCopy(dirname(dirname(koffiFiles()[0] as string))), (path) =>
      rmSync(path, { recursive: true }),
    );
    expect(said).toMatch(/^4 the engine's process ended during open \(exit code 1\): koffi can't be loaded \(/);
    expect(said).toMatch(/; delete node_modules\/koffi and node_modules\/@koromix, and type npm install again$/);
  });

  it("is of the version whose checksums are known", () => {
    expect(manifest.dependencies.koffi).toBe(KOFFI_VERSION);
    expect(koffiFiles()).not.toHaveLength(0);
  });
});
