import { describe, expect, it } from "vitest";
import { assignByPatterns, overridesFor, type TypedTensor } from "../../src/plan/patterns.ts";

const t = (name: string, type: TypedTensor["type"]): TypedTensor => ({ name, type });

describe("overridesFor", () => {
  it("compresses layers of one class and type into one anchored pattern", () => {
    const overrides = overridesFor([
      t("blk.10.ffn_down.weight", "Q5_K"),
      t("blk.1.ffn_down.weight", "Q5_K"),
      t("blk.2.ffn_down.weight", "Q4_K"),
      t("token_embd.weight", "Q6_K"),
    ]);
    expect(overrides).toEqual([
      { pattern: "^blk\\.(1|10)\\.ffn_down\\.weight$", type: "Q5_K" },
      { pattern: "^blk\\.2\\.ffn_down\\.weight$", type: "Q4_K" },
      { pattern: "^token_embd\\.weight$", type: "Q6_K" },
    ]);
  });

  it("keeps names apart that contain each other", () => {
    const tensors = [
      t("blk.1.attn_q.weight", "Q2_K"),
      t("blk.11.attn_q.weight", "Q3_K"),
      t("blk.1.attn_qkv.weight", "Q4_K"),
      t("blk.1.ffn_up.weight", "Q5_K"),
      t("blk.1.ffn_up_exps.weight", "Q6_K"),
      t("output.weight", "Q8_0"),
      t("blk.1.attn_output.weight", "IQ4_XS"),
    ];
    const assigned = assignByPatterns(
      tensors.map(({ name }) => name),
      overridesFor(tensors),
    );
    expect([...assigned]).toEqual(tensors.map(({ name, type }) => [name, type]));
  });

  it("survives a lower-cased command line where names have capitals", () => {
    const tensors = [t("model.Layers.0.Wq.weight", "Q4_K"), t("model.Layers.0.Wk.weight", "Q5_K")];
    const overrides = overridesFor(tensors);
    expect(overrides.map(({ pattern }) => pattern)).toEqual(overrides.map(({ pattern }) => pattern.toLowerCase()));
    expect(assignByPatterns(["model.Layers.0.Wq.weight"], overrides).get("model.Layers.0.Wq.weight")).toBe("Q4_K");
  });

  it("tries the lower-case name before the wildcard that would also match it", () => {
    const tensors = [t("a.B.weight", "Q4_K"), t("a.b.weight", "Q5_K")];
    const assigned = assignByPatterns(["a.b.weight", "a.B.weight"], overridesFor(tensors));
    expect([...assigned.values()]).toEqual(["Q5_K", "Q4_K"]);
  });

  it("refuses names that differ in capitals only when neither is lower-case", () => {
    expect(() => overridesFor([t("a.B.weight", "Q4_K"), t("a.C.weight", "Q5_K")])).toThrow(/can't be told apart/);
    expect(overridesFor([t("a.B.weight", "Q4_K"), t("a.C.weight", "Q4_K")])).toHaveLength(2);
  });

  it("refuses a wildcard that would hit a tensor that is not quantized", () => {
    expect(() => overridesFor([t("a.B.weight", "Q4_K")], ["a.b.weight"])).toThrow(/not quantized/);
  });

  it("spells no character that a shell, a token list or a regular expression could misread", () => {
    const hostile = "x=$(touch /tmp/p);`id`'\"\\ \n\t[a](b){c}*+?|é,.weight";
    const [override] = overridesFor([t(hostile, "Q4_K")]);
    expect(override?.pattern).toMatch(/^[a-z0-9_.^$|()[\]\\-]+$/);
    expect(override?.pattern).not.toMatch(/[\s='"`;,]/);
    expect(assignByPatterns([hostile], [override as never]).get(hostile)).toBe("Q4_K");
  });
});

describe("assignByPatterns", () => {
  it("ends where backtracking would not", () => {
    const names = Array.from({ length: 100 }, (_, index) => `${"a".repeat(60)}.${index}`);
    expect(assignByPatterns(names, [{ pattern: "^(a+)+$", type: "Q4_K" }]).size).toBe(0);
  });

  it("makes small letters of ASCII capitals only, as llama-quantize does to bytes", () => {
    const overrides = [{ pattern: "^COUCHÉ$", type: "Q4_K" }] as const;
    expect([...assignByPatterns(["couché", "couchÉ"], overrides).keys()]).toEqual(["couchÉ"]);
  });

  it("searches unanchored, first match wins, and lower-cases the pattern", () => {
    const overrides = [
      { pattern: "attn_k", type: "Q3_K" },
      { pattern: "ATTN", type: "Q4_K" },
    ] as const;
    expect([...assignByPatterns(["blk.0.attn_k.weight", "blk.0.attn_v.weight", "output.weight"], overrides)]).toEqual([
      ["blk.0.attn_k.weight", "Q3_K"],
      ["blk.0.attn_v.weight", "Q4_K"],
    ]);
  });
});
