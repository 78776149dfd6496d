import { describe, expect, it } from "vitest";
import { describeRival, rivalLabels } from "../../src/run/rivals.ts";

describe("the labels of rivals", () => {
  it("are the names of their files, without numbers of shards, revisions and queries", () => {
    expect(
      rivalLabels([
        "a/Model-Q4_K_M.gguf",
        "b/Model-IQ2_M-00001-of-00002.gguf",
        "hf:them/Model-GGUF/sub/Model-Q3_K_M.gguf@main",
        "https://example.org/x/Model-Q2_K.gguf?token=1#there",
      ]),
    ).toEqual(["Model-Q4_K_M.gguf", "Model-IQ2_M.gguf", "Model-Q3_K_M.gguf", "Model-Q2_K.gguf"]);
  });

  it("have their owner or folder where several are called the same", () => {
    expect(rivalLabels(["hf:one/G/m.gguf", "hf:two/G/m.gguf", "here/m.gguf", "n.gguf"])).toEqual([
      "one/m.gguf",
      "two/m.gguf",
      "here/m.gguf",
      "n.gguf",
    ]);
    expect(rivalLabels(["hf:one/G/m.gguf", "hf:one/H/m.gguf"])).toEqual(["one/m.gguf", "one/m.gguf (2)"]);
  });

  it("go with an identity into what a run was asked", () => {
    expect(describeRival({ label: "m.gguf", identity: "abc" })).toBe("m.gguf (identity abc)");
  });
});
