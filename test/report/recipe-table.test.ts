import { describe, expect, it } from "vitest";
import { publishedDocuments } from "../../research/published-documents.ts";
import { formatInteger } from "../../src/numbers.ts";
import type { PublishedRecipe } from "../../src/plan/published-recipe.ts";
import { renderRecipeTable } from "../../src/report/terminal/recipe-table.ts";

const recipes = [...publishedDocuments().values()];
const [small] = recipes as [PublishedRecipe];

describe("renderRecipeTable", () => {
  it("fits 80 columns and accounts for every tensor and byte", () => {
    for (const recipe of recipes) {
      const text = renderRecipeTable(recipe);
      // an address is not broken
      const longest = Math.max(...text.split("\n").map((line) => line.length));
      expect(longest).toBeLessThanOrEqual(80);
      expect(text).toMatch(
        new RegExp(`^total +${recipe.tensors.length} +${formatInteger(recipe.today.tensorBytes)} +100\\.0$`, "m"),
      );
    }
  });

  it("puts what was published beside what llama-quantize makes of it today", () => {
    const text = renderRecipeTable(small);
    expect(text).toMatch(/^bits per weight +4\.94 +3\.5155$/m);
    expect(text).toMatch(/^megabytes +468 +330\.6 without header$/m);
    expect(text).toMatch(/^perplexity +11\.42$/m);
    expect(text).toMatch(/^ssm_out +18 +18xIQ4_XS +20,054,016 +6\.1$/m);
  });

  it("credits the author and says where the numbers are from", () => {
    const text = renderRecipeTable(small);
    expect(text).toMatch(/^credit +Ex0bit, Apache-2\.0,$/m);
    expect(text).toContain(small.url);
    for (const line of small.provenance) expect(text.replaceAll("\n  ", " ")).toContain(line);
  });

  it("prints no control characters of a document", () => {
    const text = renderRecipeTable({ ...small, author: "\u001b[2Jx", provenance: ["a\u0007b"] });
    expect(text).toContain("?[2Jx");
    expect(text).toContain("a?b");
  });
});
