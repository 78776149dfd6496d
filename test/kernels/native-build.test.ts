import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const SOURCES = join(import.meta.dirname, "../../native-kernels");
const folder = mkdtempSync(join(tmpdir(), "prism-native-build-"));
cpSync(SOURCES, folder, { recursive: true, filter: (path) => path !== join(SOURCES, "build") });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function build(env: NodeJS.ProcessEnv, ...options: string[]) {
  return spawnSync(process.execPath, [join(folder, "build.mjs"), ...options], { env, encoding: "utf8" });
}

describe("the build of the native kernels", () => {
  it("is skipped with one line where there is no compiler, and fails only where it was asked for", () => {
    const skipped = build({ PATH: folder }, "--optional");
    expect([skipped.status, skipped.stdout]).toEqual([0, ""]);
    expect(skipped.stderr).toMatch(
      /^native kernels skipped: no C\+\+ compiler .*reference backend, which is slower\n$/,
    );
    expect(build({ PATH: folder }).status).toBe(1);
  });

  it("says what the compiler said where that fails", () => {
    const failed = build({ PATH: folder, CXX: process.execPath }, "--optional");
    expect(failed.status).toBe(0);
    expect(failed.stderr).toMatch(/^native kernels skipped: .* failed: .*\n$/);
  });
});
