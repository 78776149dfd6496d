/** A published recipe as text: whose it is, what was published beside what it gives today, one line per class. */
import { leftAloneReason } from "../../ggml/eligibility.ts";
import { tensorClass } from "../../ggml/tensor-class.ts";
import { formatInteger } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { PublishedRecipe } from "../../plan/published-recipe.ts";
import { overrideToken } from "../../plan/tensor-types.ts";
import { type ClassMember, classTable } from "./class-table.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

/** Render a recipe. Ends with a line break. */
export function renderRecipeTable(recipe: PublishedRecipe, width = TERMINAL_WIDTH): string {
  const notes = recipe.provenance.map((line) => fitLines(`- ${printable(line)}`, width));
  return `${[heading(recipe, width), figures(recipe), classTable(recipe.tensors.map(classMember), { width }), notes.join("\n")].join("\n\n")}\n`;
}

function heading({ name, arch, author, license, url, command }: PublishedRecipe, width: number): string {
  const { baseFileType, tensorTypes } = command;
  const overrides = tensorTypes.map((override) => printable(overrideToken(override))).join(" ");
  const rows = [
    ["name", `${printable(name)} (${printable(arch)})`],
    ["credit", `${printable(author)}, ${printable(license)}, ${printable(url)}`],
    ["base", baseFileType],
    ["overrides", overrides],
  ];
  return formatTable([{ header: "RECIPE" }, { header: "" }], rows, width);
}

/** What cannot be known without the file stays empty. */
function figures({ published, today }: PublishedRecipe): string {
  return formatTable(
    [
      { header: "" },
      { header: "published", align: "right" },
      { header: `llama.cpp ${printable(today.llamaCpp)}`, align: "right" },
    ],
    [
      ["bits per weight", published.bpw.toFixed(2), today.bpw.toFixed(4)],
      ["megabytes", formatInteger(published.megabytes), `${(today.tensorBytes / 1e6).toFixed(1)} without header`],
      ["bits per weight aimed at", published.targetBpw.toFixed(2), ""],
      ["perplexity", published.ppl.toFixed(2), ""],
      ["perplexity of Q3_K_M", published.pplOfQ3KM.toFixed(2), ""],
    ],
  );
}

function classMember({ name, ...tensor }: PublishedRecipe["tensors"][number]): ClassMember {
  return { ...tensor, class: tensorClass(name).class, isPlanned: leftAloneReason({ ...tensor, name }) === undefined };
}
