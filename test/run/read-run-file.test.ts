import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { RUN_ANALYSIS, RUN_PLAN, RUN_PROBES, readRunFile } from "../../src/run/read-run-file.ts";

const RELEASED = fileURLToPath(new URL("../documents/first-release/", import.meta.url));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-run-file-"));
});
afterAll(() => rm(dir, { recursive: true }));

test.each([
  ["analysis.json", RUN_ANALYSIS, "delete it, and the same prism run makes it again"],
  ["plan.json", RUN_PLAN, "delete it, and the same prism run makes it again"],
  ["probes.json", RUN_PROBES, "prism run with --force starts the run anew"],
])("a damaged %s of a run is told with what to do there", async (name, file, remedy) => {
  const path = join(dir, name);
  await cp(join(RELEASED, name), path);
  await expect(readRunFile<unknown>(path, file)).resolves.toBeDefined();
  const text = await readFile(path, "utf8");
  const damaged = ["", text.slice(0, 700), text.replace(/:\s*\d+[,}]/, ": 1e999,"), "[".repeat(1e5), "\ufeff", "null"];
  for (const content of [...damaged, Buffer.from("\xff\xfe\x00", "latin1"), new Uint8Array(1000)]) {
    await writeFile(path, content);
    const error = await readRunFile<unknown>(path, file).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(FormatError);
    const { message } = error as FormatError;
    expect(message.startsWith(`${path}: `)).toBe(true);
    expect(message.endsWith(`; ${remedy}`)).toBe(true);
    expect(message.split(remedy)).toHaveLength(2);
  }
});
