import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { damageIn } from "../../campaign/damage-files.ts";
import { attackByDisks } from "../../campaign/disks.ts";
import { drawFor } from "../../campaign/draw.ts";
import { differenceOf, takeSnapshot } from "../../campaign/snapshot.ts";
import { jobNamed } from "../../campaign/workshop.ts";

describe("bad disks", () => {
  it("spoil no result: it is as it should be, or refused with words", async () => {
    const { cases, failures } = await attackByDisks({
      seed: 3,
      count: 4,
      jobs: [jobNamed("evaluate"), jobNamed("analyze")],
      faults: ["full disk", "read-only disk", "source", "cache"],
    });
    expect(failures).toEqual([]);
    expect(cases).toBe(4);
  }, 60_000);
});

describe("a snapshot", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "prism-snapshot-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("differs by a number, a file that is gone and one that is left, not by times", async () => {
    const write = (text: string) => writeFile(join(folder, "a.json"), text);
    await write('{"createdAt": "2026-01-02T03:04:05.678Z", "kld": 0.25, "elapsedMs": 12}');
    const whole = await takeSnapshot(folder);
    await write('{"createdAt": "2027-01-02T03:04:05.678Z", "kld": 0.25, "elapsedMs": 13}');
    expect(differenceOf(whole, await takeSnapshot(folder))).toBeUndefined();
    await write('{"createdAt": "2027-01-02T03:04:05.678Z", "kld": 0.26, "elapsedMs": 13}');
    expect(differenceOf(whole, await takeSnapshot(folder))).toMatch(/^a\.json differs/);
    const listed = (fileBytes: number) =>
      `{"fileBytes": ${fileBytes}, "sha256": "${"0".repeat(64)}", "seal": "${String(fileBytes).repeat(64)}"}`;
    await writeFile(join(folder, "a.json"), listed(7));
    const before = await takeSnapshot(folder);
    await writeFile(join(folder, "a.json"), listed(8));
    expect(differenceOf(before, await takeSnapshot(folder))).toMatch(/fileBytes/);
    await writeFile(join(folder, "b.part"), "");
    await rm(join(folder, "a.json"));
    expect(differenceOf(whole, await takeSnapshot(folder))).toBe("a.json is missing; b.part is left over");
  });

  it("is of damaged files, where they were damaged", async () => {
    const path = join(folder, "digits.txt");
    for (let index = 0; index < 20; index++) {
      await writeFile(path, "x 0123456789 y");
      const damage = await damageIn(folder, /^digits/, drawFor("test", 1, index));
      expect(damage?.file).toBe("digits.txt");
      expect(await readFile(path, "latin1"), damage?.how).not.toBe("x 0123456789 y");
    }
  });
});
