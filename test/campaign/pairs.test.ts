import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { attackByPairs, PAIRS } from "../../campaign/pairs.ts";

const SHORT = PAIRS.filter(({ job }) => job.args[0] !== "run");

describe("two commands at once", () => {
  it("come to what each comes to alone, or one is refused", async () => {
    const { cases, failures } = await attackByPairs({ seed: 1, count: 3, pairs: SHORT });
    expect(failures).toEqual([]);
    expect(cases).toBe(3);
  }, 60_000);

  it("are seen to be wrong where what they made is spoilt", async () => {
    const { failures } = await attackByPairs({
      ...{ seed: 1, count: 1, pairs: SHORT.filter(({ name }) => name === "plan, twice with one cache") },
      sabotage: (room) => writeFile(join(room.cwd, "out-other", "plan.json"), "{}"),
    });
    expect(failures).toEqual([
      { kind: "wrong", id: "pairs 1/0", what: expect.stringMatching(/the second: plan\.json differs/) },
    ]);
  }, 60_000);
});
