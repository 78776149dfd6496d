import { parseGGUFQuantLabel } from "@huggingface/gguf";
import { describe, expect, it } from "vitest";
import type { FileType } from "../../src/ggml/file-types.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { plannedName, presetSizes, publishedName, publishedStem, TAGS } from "../../src/plan/published-name.ts";
import { filesOf, findModel, splitInfo } from "./hub-names.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

const MB = 1e6;
const PRESETS = new Map<FileType, number>([
  ["Q3_K_M", 39 * MB],
  ["IQ4_XS", 43 * MB],
  ["Q4_K_S", 46 * MB],
  ["Q4_K_M", 49 * MB],
  ["Q8_0", 85 * MB],
]);
const nameOf = (megabytes: number, more: Partial<Parameters<typeof publishedName>[0]> = {}) =>
  publishedName({ model: "Books Llama 8M", bpw: megabytes / 10, fileBytes: megabytes * MB, presets: PRESETS, ...more });

function family(sizes: readonly number[], model = "Books Llama 8M") {
  const taken: string[] = [];
  return sizes.map((size) => {
    const named = nameOf(size, { model, taken });
    taken.push(named.tag);
    return named;
  });
}

describe("the name of a published file", () => {
  it("has the tag of the preset nearest in size, and its own bits", () => {
    expect(nameOf(48.5)).toEqual({ name: "Books-Llama-8M-PRISM-4.85bpw-Q4_K_M.gguf", tag: "Q4_K_M" });
    expect(nameOf(20).tag).toBe("Q3_K_M");
    expect(nameOf(400).tag).toBe("Q8_0");
    expect(nameOf(48.5, { kind: "feedback" }).name).toBe("Books-Llama-8M-PRISM-EF-4.85bpw-Q4_K_M.gguf");
  });

  it("takes the next nearest tag where another file has it, and tells apart by bits when none is left", () => {
    const sizes = [48.5, 48.9, 49.2, 49.3, 49.4, 49.5];
    expect(family(sizes).map(({ tag }) => tag)).toEqual(["Q4_K_M", "Q4_K_S", "IQ4_XS", "Q3_K_M", "Q8_0", "Q4_K_M"]);
    expect(new Set(family(sizes).map(({ name }) => name)).size).toBe(sizes.length);
  });

  it.each(TAGS)("says %s to the Hub and to llama.cpp, whole and split", (tag) => {
    const presets = new Map([[tag, MB]]);
    const { name } = nameOf(40, { presets, model: "Mixture-Q8_0.BF16 of IQ2_XXS_things" });
    const split = ["00001", "00002"].map((number) => name.replace(/\.gguf$/, `-${number}-of-00002.gguf`));
    for (const file of [name, `folder/${name}`, ...split]) {
      expect(parseGGUFQuantLabel(file)).toBe(tag);
      expect(splitInfo(file)?.tag).toBe(tag);
    }
    expect(findModel([name], tag.toLowerCase())).toBe(name);
    expect(findModel(split.toReversed(), tag)).toBe(split[0]);
    expect(filesOf(["README.md", ...split], split[0] as string)).toEqual(split);
  });

  it("is found by its tag alone among all of a family, beside projector and importance matrix", () => {
    const models = family([39.1, 43.2, 45.8, 48.5, 84], "Model Q4_K_M mmproj mtp-1B Q8_0");
    const files = ["imatrix.gguf", "mmproj-model-Q4_K_M.gguf", ...models.map(({ name }) => name)];
    for (const { name, tag } of models) expect(findModel(files, tag)).toBe(name);
    expect(findModel(files, "")).toContain("Q4_K_M");
    expect(findModel(files, "Q5_K_M")).toBeUndefined();
  });

  it.each([
    ["Qwen3 8B Instruct", "Qwen3-8B-Instruct"],
    ["Llama-3.1_8B.f16.gguf", "Llama-3.1_8B"],
    ["../../etc/passwd", "passwd"],
    ["C:\\models\\Foo bf16", "Foo"],
    ["-rf $(reboot) `x` \u202e\n;", "rf-reboot-x"],
    ["...", "model"],
    ["模型", "model"],
    ["Élan vital", "Elan-vital"],
    ["x".repeat(500), "x".repeat(80)],
    ["my-mmproj-imatrix-mtp-1B", "my-MMPROJ-IMATRIX-MTP-1B"],
  ])("cleans %j", (model, stem) => {
    expect(publishedStem(model)).toBe(stem);
  });
});

describe("the name of a plan's file", () => {
  const analysis = syntheticAnalysis();
  const plan = makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "like", fileType: "Q4_K_M" },
  });
  const named = (name: string | undefined, path = "models/Tiny-2-f16-00001-of-00003.gguf") => {
    const { name: _, ...source } = plan.source;
    return plannedName({ ...plan, source: { ...source, path, ...(name !== undefined && { name }) } }).name;
  };

  it("is the preset's whose size it was given", () => {
    const like = (fileType: FileType) =>
      plannedName(
        makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "like", fileType } }),
      );
    const sizes = presetSizes(plan);
    for (const fileType of ["Q3_K_M", "Q4_K_M", "Q6_K"] as const) {
      expect(sizes.get(like(fileType).tag)).toBe(sizes.get(fileType));
    }
  });

  it("begins with the model's own name, or with its file's where it has none", () => {
    expect(named("Tiny 2B")).toMatch(/^Tiny-2B-PRISM-\d\.\d\dbpw-/);
    for (const none of [undefined, "Model", "", "模型", "d".repeat(40)]) expect(named(none)).toMatch(/^Tiny-2-PRISM-/);
    expect(named(undefined, "hf:me/repo/Own-BF16.gguf")).toMatch(/^Own-PRISM-/);
  });
});
