import { describe, expect, it } from "vitest";
import { parseQuality } from "../../src/verbs/sweep-request.ts";

describe("a list of sizes", () => {
  it("takes sizes, presets and bits per weight together, each once, in one order", () => {
    const { sweep, family } = parseQuality({ budgets: "4, 3.5", sizes: "Q4_K_M,3GB,2.5gib,3.5bpw,q4_k_m" }, false);
    expect(family).toBe(true);
    expect(sweep).toEqual([
      { kind: "bpw", value: 3.5, text: "--bpw 3.5" },
      { kind: "bpw", value: 4, text: "--bpw 4" },
      { kind: "fileBytes", value: 2.5 * 2 ** 30, text: "--size 2.5gib" },
      { kind: "fileBytes", value: 3e9, text: "--size 3GB" },
      { kind: "like", fileType: "Q4_K_M", text: "--like Q4_K_M" },
    ]);
    expect(parseQuality({ sizes: [3e9] }, false).sweep).toEqual([
      { kind: "fileBytes", value: 3e9, text: "--size 3000000000" },
    ]);
    expect(parseQuality({ budgets: [4] }, true).sweep).toHaveLength(1);
  });

  it("keeps no files where a sweep is asked for", () => {
    expect(parseQuality({ sweep: true }, false)).toMatchObject({ family: false });
    expect(parseQuality({}, false)).toEqual({ target: undefined, sweep: undefined, family: false });
    expect(() => parseQuality({ sweep: true, sizes: "3GB" }, false)).toThrow(
      /--sweep draws a front and keeps no files/,
    );
  });

  it.each([
    ["sizes", "3,4", /--sizes 3: of what\? Write 3GB for a size, or 3bpw/],
    ["sizes", "3GB,,4GB", /--sizes "": expected a size like 4.3GB, bits per weight like 3.5bpw, or a preset/],
    ["sizes", "Q4_Q", /--sizes "Q4_Q": expected/],
    ["sizes", "4potatoes", /size "4potatoes": expected a number and a unit/],
    ["budgets", "3,400", /expected bits per weight above 0 and at most 32/],
    ["budgets", "-3", /--budgets "-3": expected/],
  ])("says what is wrong with --%s %s", (option, list, message) => {
    expect(() => parseQuality({ [option]: list }, false)).toThrow(message);
  });
});
