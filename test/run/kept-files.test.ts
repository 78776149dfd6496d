import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeKept } from "../../src/run/kept-files.ts";
import type { Run } from "../../src/run/run-document.ts";
import { runDirectory } from "../../src/run/run-state.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-kept-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("a file of a run that is made again stays in its place: the state is that of an undisturbed run", async () => {
  const directory = runDirectory(folder);
  const first = await writeKept({} as Run, directory, directory.analysis, "a");
  const whole = await writeKept(first, directory, directory.probes, "b");
  expect(await writeKept(whole, directory, directory.analysis, "a")).toEqual(whole);
  const other = await writeKept(whole, directory, directory.analysis, "c");
  expect(other.kept?.map(({ path }) => path)).toEqual(whole.kept?.map(({ path }) => path));
  expect(other.kept?.[0]?.sha256).not.toBe(whole.kept?.[0]?.sha256);
});
