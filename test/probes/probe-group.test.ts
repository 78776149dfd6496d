import { expect, it } from "vitest";
import type { TensorAnalysis } from "../../src/analyze/analysis.ts";
import { probeParts } from "../../src/probes/probe-group.ts";

const tensor = (distortion: Record<string, number>) =>
  ({
    name: "blk.0.ffn_down.weight",
    distortion: Object.fromEntries(Object.entries(distortion).map(([type, value]) => [type, { value }])),
  }) as unknown as TensorAnalysis;

it("degrades to the type asked for, to the nearest where that was not measured, and never to one that a smaller one beats", () => {
  const typeOf = (distortion: Record<string, number>) => probeParts([tensor(distortion)])[0]?.type;
  expect(typeOf({ Q2_K: 0.08, Q3_K: 0.023, Q4_K: 0.005 })).toBe("Q3_K");
  expect(typeOf({ Q4_0: 0.0067, Q5_0: 0.0017, Q8_0: 3e-5 })).toBe("Q4_0");
  // a column that outweighs all others
  expect(typeOf({ Q2_K: 0.0029, Q3_K: 0.113, Q4_K: 0.0002 })).toBe("Q2_K");
});
