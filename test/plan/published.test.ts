import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { publishedDocuments } from "../../research/published-documents.ts";
import { QWEN35, qwen35Tensors } from "../../research/qwen35-shapes.ts";
import { FormatError } from "../../src/errors.ts";
import { elementCount } from "../../src/ggml/tensor-types.ts";
import { readRecipe } from "../../src/plan/published-recipe.ts";
import { readArchitecture } from "../fixtures/architectures.ts";

const documents = publishedDocuments();
const read = (file: string) => readRecipe(readFileSync(new URL(`../../plans/${file}`, import.meta.url), "utf8"), file);

describe("the published PRISM-DQ recipes", () => {
  it("are committed as the program makes them; if not, run npx tsx research/make-published.ts", () => {
    expect(documents.size).toBe(4);
    for (const [file, document] of documents) expect(read(file)).toEqual(document);
  });

  it("give these sizes today, less than what was published", () => {
    const sizes = [...documents.values()].map(({ model, today, published }) => {
      expect(today.tensorBytes).toBeLessThan(published.megabytes * 1e6);
      return [model, today.bpw.toFixed(2), Math.round(today.tensorBytes / 1e6)];
    });
    expect(sizes).toEqual([
      ["Qwen3.5-0.8B", "3.52", 331],
      ["Qwen3.5-2B", "3.62", 852],
      ["Qwen3.5-4B", "3.50", 1838],
      ["Qwen3.5-9B", "3.59", 4017],
    ]);
  });

  it("apply the first pattern that matches: blk.4.ssm_beta of 0.8B is not Q4_K", () => {
    const tensors = new Map(read("qwen3.5-0.8b-prism-dq.json").tensors.map(({ name, type }) => [name, type]));
    expect(tensors.get("blk.4.ssm_beta.weight")).toBe("IQ4_XS");
    expect(tensors.get("blk.4.attn_qkv.weight")).toBe("Q3_K");
    expect(tensors.get("blk.3.attn_output.weight")).toBe("IQ4_XS");
    expect(tensors.get("blk.0.ssm_conv1d.weight")).toBe("F32");
  });
});

describe("qwen35Tensors", () => {
  it("gives the tensor lists of real files", () => {
    for (const name of ["Qwen3.5-0.8B", "Qwen3.5-4B", "Qwen3.5-9B"]) {
      const model = QWEN35.find((one) => one.name === name);
      const made = qwen35Tensors(model as never).map((tensor) => [tensor.name, tensor.shape]);
      const real = readArchitecture(name).tensors.map((tensor) => [tensor.name, tensor.shape]);
      expect(Object.fromEntries(made)).toEqual(Object.fromEntries(real));
      expect(made).toHaveLength(real.length);
    }
  });

  it("gives 2B the number of weights its published sizes imply", () => {
    const model = QWEN35.find(({ name }) => name === "Qwen3.5-2B");
    const elements = qwen35Tensors(model as never).reduce((sum, { shape }) => sum + elementCount(shape), 0);
    expect(elements).toBe(1_881_825_088);
    // stock Q3_K_M: 1107 MB at 4.69 bits per weight
    expect(Math.abs(elements / ((1107e6 * 8) / 4.69) - 1)).toBeLessThan(0.004);
  });
});

describe("readRecipe", () => {
  it("refuses what is no recipe", () => {
    expect(() => readRecipe("{}", "x.json")).toThrow(FormatError);
    expect(() => readRecipe("nope", "x.json")).toThrow(/x\.json: is not JSON/);
  });

  it("refuses what std::regex might read in another way, by name", () => {
    const [recipe] = documents.values();
    const withPattern = (pattern: string) =>
      JSON.stringify({ ...recipe, command: { ...recipe?.command, tensorTypes: [{ pattern, type: "Q4_K" }] } });
    expect(() => readRecipe(withPattern("attn_(?=k)"), "x.json")).toThrow(
      /x\.json: pattern "attn_\(\?=k\)": a lookahead/,
    );
    expect(() => readRecipe(withPattern("attn_(?=k)"), "x.json")).toThrow(FormatError);
    expect(readRecipe(withPattern("(a+)+$"), "x.json").command.tensorTypes).toHaveLength(1);
  });
});
