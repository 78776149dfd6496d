import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { attackByKills } from "../../campaign/kills.ts";
import { JOBS } from "../../campaign/workshop.ts";

const SHORT = JOBS.filter(({ args }) => args[0] !== "run");

describe("commands that are killed", () => {
  it("come to the same when they are given again, and leave nothing behind", async () => {
    const { cases, failures, resumed } = await attackByKills({ seed: 1, count: 4, jobs: SHORT });
    expect(failures).toEqual([]);
    expect(cases).toBeGreaterThanOrEqual(4);
    expect(resumed).toBeGreaterThan(0);
  }, 120_000);

  it("are seen to be wrong where what they left is spoilt", async () => {
    const { failures } = await attackByKills({
      ...{ seed: 2, count: 1, lanes: 1, jobs: JOBS.filter(({ name }) => name === "quantize") },
      async sabotage(room) {
        await writeFile(join(room.out, "q.gguf"), "spoilt");
        await writeFile(join(room.cwd, ".half.part"), "");
      },
    });
    const words = failures.map(({ kind, what }) => `${kind}: ${what}`).join("\n");
    expect(words).toMatch(/^wrong: quantize: given again: prism: .*exists already/m);
    expect(words).toMatch(/q\.gguf differs/);
    expect(words).toMatch(/left \.half\.part/);
  }, 60_000);
});
