import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "prism-native-build-"));
for (const part of ["dist", "native-kernels/src", "native-kernels/build.mjs", "package.json"]) {
  cpSync(join(ROOT, part), join(folder, part), { recursive: true });
}
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function build(env: NodeJS.ProcessEnv, ...options: string[]) {
  return spawnSync(process.execPath, [join(folder, "native-kernels/build.mjs"), ...options], { env, encoding: "utf8" });
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

  it("fails where a compiler is and fails, and says what it said", () => {
    for (const options of [[], ["--optional"]]) {
      const failed = build({ PATH: folder, CXX: process.execPath }, ...options);
      expect(failed.status).toBe(1);
      expect(failed.stderr).toMatch(/^the native kernels don't build: .* failed: .*\n$/);
    }
  });
});
