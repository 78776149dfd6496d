import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { RERANKER_ROWS } from "../../src/ggml/reranker-architectures.ts";
import { effectOf, FINDING_CODES, type FindingCode } from "../../src/preflight/finding-codes.ts";

const page = await readFile("docs/preflight.md", "utf8");
/** The rows of the table under a heading, without the padding of its columns. */
function tableRows(heading: string): string[] {
  const section = page.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(2).map((row) => row.replace(/\s+/g, " "));
}

it("docs/preflight.md lists every code as it is", () => {
  const rows = Object.entries(FINDING_CODES).map(([code, meaning]) => {
    const mended = "repairable" in meaning ? "repair" : "";
    const effects = new Set(meaning.severities.map((severity) => effectOf({ code: code as FindingCode, severity })));
    return `| \`${code}\` | ${meaning.severities.join(", ")} | ${[...effects].join(", ")} | ${meaning.meaning} | ${mended} |`.replace(
      /\s+/g,
      " ",
    );
  });
  expect(tableRows("Codes")).toEqual(rows);
});

it("docs/preflight.md lists what is known of rerankers as it is", () => {
  const rows = RERANKER_ROWS.map(
    ({ family, verdict, fact, source }) => `| ${family} | ${verdict} | ${fact} | ${source} |`,
  );
  expect(tableRows("Rerankers by architecture")).toEqual(rows);
});
