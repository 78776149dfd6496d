import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { createProgram } from "../../src/cli/program.ts";

const page = await readFile("docs/compared.md", "utf8");

/** The column of PRISM: the second of every row of a table. */
function ownCells(): string[] {
  const rows = page.split("\n").filter((line) => line.startsWith("|") && !/^\| (wish|-)/.test(line));
  return rows.map((row) => row.split(" | ")[1] ?? "");
}

it("docs/compared.md names only commands and options that PRISM has", async () => {
  const program = await createProgram({ signal: new AbortController().signal });
  const optionsOf = new Map(
    program.commands.map((command) => [command.name(), command.options.map(({ long }) => long ?? "")]),
  );
  const anywhere = new Set([...optionsOf.values()].flat());
  const spans = ownCells().flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code as string));
  expect(spans.length).toBeGreaterThan(15);
  const unknown = spans.flatMap((span) => {
    const verb = /^prism (\w+)/.exec(span)?.[1];
    const known = verb === undefined ? anywhere : new Set(optionsOf.get(verb));
    const missing = [...span.matchAll(/--[\w-]+/g)].map(([option]) => option).filter((option) => !known.has(option));
    return [...(verb !== undefined && !optionsOf.has(verb) ? [`prism ${verb}`] : []), ...missing];
  });
  expect(unknown).toEqual([]);
});
