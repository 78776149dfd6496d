import { describe, expect, it } from "vitest";
import { projectorComputeBytes } from "../../src/footprint/projector-buffers.ts";
import type { MetadataValue } from "../../src/gguf/model.ts";

const MIB = 2 ** 20;
/** What libmtmd reserved, by bench/projector-memory.ts, and how far docs/memory.md says the estimate is off. */
const OFF_MIB = 7;

function estimate(type: string, sizes: Readonly<Record<string, MetadataValue>>): number {
  const vision = Object.entries(sizes).map(([key, value]) => [`clip.vision.${key}`, value] as const);
  return projectorComputeBytes({ metadata: new Map([["clip.projector_type", type], ...vision]) }) / MIB;
}

const LARGE = { embedding_length: 1024, feed_forward_length: 4096 };
const SO400M = { embedding_length: 1152, feed_forward_length: 4304 };

describe("what a projector computes in", () => {
  it.each([
    ["mlp", { ...LARGE, image_size: 336, patch_size: 14 }, 19.32],
    ["gemma3", { ...SO400M, image_size: 896, patch_size: 14 }, 148.5],
    ["qwen3vl_merger", { ...LARGE, image_size: 768, patch_size: 16, spatial_merge_size: 2 }, 289.43],
    ["qwen3vl_merger", { ...SO400M, image_size: 768, patch_size: 16 }, 322.49],
  ])("%s %j", (type, sizes, measured) => {
    expect(Math.abs(estimate(type, sizes) - measured)).toBeLessThan(OFF_MIB);
  });

  it("is unknown of one that hears, and of a header that makes no sense", () => {
    expect(projectorComputeBytes({ metadata: new Map([["clip.projector_type", "ultravox"]]) })).toBe(0);
    expect(estimate("mlp", { ...LARGE, image_size: 336, patch_size: 0 })).toBe(0);
    expect(estimate("mlp", { ...LARGE, image_size: 4e9, patch_size: 1 })).toBe(0);
    expect(estimate("constructor", { ...LARGE, image_size: -1, patch_size: 14 })).toBe(0);
  });
});
