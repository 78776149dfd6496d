import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { ERROR_CODES, EXIT } from "../../src/errors.ts";

const page = readFileSync(new URL("../../docs/exit-codes.md", import.meta.url), "utf8");

/** The cells of the rows of the table whose head has `name` as its first column. */
function table(name: string): string[][] {
  const lines = page.split("\n");
  const head = lines.findIndex((line) => line.startsWith(`| ${name} `));
  const rest = lines.slice(head + 2);
  const end = rest.findIndex((line) => !line.startsWith("|"));
  const rows = end < 0 ? rest : rest.slice(0, end);
  return rows.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const quoted = (text = "") => [...text.matchAll(/`([\w-]+)`/g)].map(([, word]) => word as string);

describe("docs/exit-codes.md", () => {
  it("has the exit codes of the program", () => {
    const documented = table("exit code").map(([code, name]) => [quoted(name)[0], Number(code)]);
    expect(Object.fromEntries(documented)).toEqual(EXIT);
    expect(new Set(Object.values(EXIT)).size).toBe(Object.keys(EXIT).length);
  });

  it("has every code of an error with its exit code", () => {
    const documented = table("`code`").flatMap(([codes, exit]) => quoted(codes).map((code) => [code, Number(exit)]));
    expect(Object.fromEntries(documented)).toEqual(ERROR_CODES);
  });

  it("speaks of commands that there are", async () => {
    const { commands } = await createProgram({ signal: new AbortController().signal });
    const verbs = commands.map((command) => command.name());
    for (const [, , , where] of table("exit code"))
      for (const word of quoted(where).filter((word) => !word.startsWith("-"))) expect(verbs).toContain(word);
  });
});
