import { describe, expect, test } from "vitest";
import { applyConstraints, type Constrained } from "../../src/allocate/constraints.ts";
import { parseConstraint } from "../../src/allocate/patterns.ts";
import type { Constraint, Option } from "../../src/allocate/problem.ts";
import { UsageError } from "../../src/errors.ts";
import { bitsPerWeight, type TensorType } from "../../src/ggml/tensor-types.ts";

const option = (type: TensorType): Option => ({ type, bytes: 256 * bitsPerWeight(type), loss: 1 });
const CANDIDATES = ["blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.1.attn_v.weight", "output.weight"].map(
  (name) => ({ name, options: (["Q2_K", "Q3_K", "Q4_K", "Q6_K"] as const).map(option) }),
);

const constrained = (...constraints: Constraint[]): Constrained =>
  applyConstraints(CANDIDATES, constraints, (_, type) => (type === "IQ1_S" ? undefined : option(type)));
const typesOf = ({ items }: Constrained, name: string): TensorType[] =>
  items.find((item) => item.name === name)?.options.map(({ type }) => type) ?? [];

describe("applyConstraints", () => {
  test("leaves candidates as they are without constraints", () => {
    const { items, reasons } = constrained();
    expect(items).toEqual(CANDIDATES);
    expect(reasons.size).toBe(0);
  });

  test("pins exactly one type, the last that matches, and builds a type that is not among the candidates", () => {
    const result = constrained(parseConstraint("pin", "attn_v=Q6_K"), parseConstraint("pin", "blk\\.1\\.=q8_0"));
    expect(typesOf(result, "blk.0.attn_v.weight")).toEqual(["Q6_K"]);
    expect(typesOf(result, "blk.1.attn_v.weight")).toEqual(["Q8_0"]);
    expect(typesOf(result, "output.weight")).toHaveLength(4);
    expect(result.reasons.get("blk.1.attn_v.weight")).toEqual({ kind: "pin", note: "pin blk\\.1\\.=Q8_0" });
    expect(() => constrained(parseConstraint("pin", "output=IQ1_S"))).toThrow(/output\.weight can't be.*IQ1_S.*Q2_K/);
  });

  test("holds tensors at or above the highest floor", () => {
    const result = constrained(parseConstraint("floor", "attn=Q4_K"), parseConstraint("floor", ".=Q3_K"));
    expect(typesOf(result, "blk.0.attn_q.weight")).toEqual(["Q4_K", "Q6_K"]);
    expect(typesOf(result, "output.weight")).toEqual(["Q3_K", "Q4_K", "Q6_K"]);
    expect(result.reasons.get("output.weight")).toEqual({ kind: "floor", note: "floor .=Q3_K" });
    expect(typesOf(constrained(parseConstraint("floor", "output=Q8_0")), "output.weight")).toEqual(["Q8_0"]);
  });

  test("gives no reason for a floor that changes nothing", () => {
    expect(constrained(parseConstraint("floor", ".=Q2_K")).reasons.size).toBe(0);
  });

  test("adds up bans", () => {
    const result = constrained(parseConstraint("ban", ".=Q3_K"), parseConstraint("ban", "output=Q2_K"));
    expect(typesOf(result, "blk.0.attn_q.weight")).toEqual(["Q2_K", "Q4_K", "Q6_K"]);
    expect(typesOf(result, "output.weight")).toEqual(["Q4_K", "Q6_K"]);
  });

  test("ties all tensors that match, and joins ties that share a tensor", () => {
    const one = constrained(parseConstraint("tie", "attn_v"));
    expect(one.items.map(({ group }) => group)).toEqual([undefined, "attn_v", "attn_v", undefined]);
    expect(one.reasons.get("blk.1.attn_v.weight")).toEqual({ kind: "tied", note: "tie attn_v" });
    const two = constrained(parseConstraint("tie", "attn_v"), parseConstraint("tie", "blk\\.0"));
    expect(new Set(two.items.slice(0, 3).map(({ group }) => group)).size).toBe(1);
    expect(two.items[3]?.group).toBeUndefined();
  });

  test("refuses a pattern that matches nothing, unless it is built in", () => {
    expect(() => constrained(parseConstraint("ban", "ATTN_V=Q3_K"))).toThrow(/ban ATTN_V=Q3_K.*none of the 4 tensors/);
    const builtIn = { ...parseConstraint("floor", "token_embd=Q6_K"), builtIn: true };
    expect(constrained(builtIn).reasons.size).toBe(0);
  });

  test("names the tensor and the constraints that contradict each other", () => {
    const pin = parseConstraint("pin", "output=Q3_K");
    expect(() => constrained(pin, parseConstraint("floor", "put=Q4_K"))).toThrow(
      /output\.weight: "pin output=Q3_K" and "floor put=Q4_K"/,
    );
    expect(() => constrained(pin, parseConstraint("ban", ".=Q3_K"))).toThrow(/"pin output=Q3_K" and "ban \.=Q3_K"/);
    const bans = ["Q2_K", "Q3_K", "Q4_K", "Q6_K"].map((type) => parseConstraint("ban", `attn_q=${type}`));
    expect(() => constrained(...bans)).toThrow(/blk\.0\.attn_q\.weight: "ban attn_q=Q2_K".*leave no type/);
    expect(() => constrained(parseConstraint("floor", "output=Q6_K"), parseConstraint("ban", ".=Q6_K"))).toThrow(
      /output\.weight: "floor output=Q6_K" and "ban \.=Q6_K" leave no type/,
    );
    expect(() =>
      constrained(pin, parseConstraint("pin", "attn_q=Q4_K"), parseConstraint("tie", "attn_q|output")),
    ).toThrow(/tie attn_q\|output: output\.weight can only be Q3_K.*Q4_K/);
  });

  test("lets a user's pin override what is built in", () => {
    const builtIn = { ...parseConstraint("floor", "output=Q6_K"), builtIn: true };
    expect(typesOf(constrained(builtIn), "output.weight")).toEqual(["Q6_K"]);
    expect(typesOf(constrained(parseConstraint("pin", "output=Q3_K"), builtIn), "output.weight")).toEqual(["Q3_K"]);
  });
});

describe("parseConstraint", () => {
  test("splits at the last equals sign and reads the type in any case", () => {
    expect(parseConstraint("pin", "attn_v=Q6_K")).toEqual({ kind: "pin", pattern: "attn_v", type: "Q6_K" });
    expect(parseConstraint("pin", "a=b=iq4_xs")).toEqual({ kind: "pin", pattern: "a=b", type: "IQ4_XS" });
    expect(parseConstraint("tie", "attn_(q|k)")).toEqual({ kind: "tie", pattern: "attn_(q|k)" });
  });

  test.each([
    ["attn_v", /expected PATTERN=TYPE/],
    ["=Q6_K", /expected PATTERN=TYPE/],
    ["attn_v=", /expected PATTERN=TYPE/],
    ["attn_v=Q6_X", /"Q6_X" is not a tensor type/],
    ["attn_v=Q8_K", /"Q8_K" can't be produced/],
    ["attn_(v=Q6_K", /not a valid regular expression/],
  ])("refuses %s", (text, message) => {
    expect(() => parseConstraint("pin", text)).toThrow(message);
    expect(() => parseConstraint("pin", text)).toThrow(UsageError);
  });

  test("refuses an empty or invalid tie", () => {
    expect(() => parseConstraint("tie", "")).toThrow(/empty/);
    expect(() => parseConstraint("tie", "[")).toThrow(/not a valid regular expression/);
  });
});
