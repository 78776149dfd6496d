import { expect, it } from "vitest";
import { PLACES } from "../../src/cli/option-groups.ts";
import { createProgram } from "../../src/cli/program.ts";

it("knows a heading for every option of the commands with many, and for none that no command has", async () => {
  const { commands } = await createProgram({ signal: new AbortController().signal });
  const all = commands.flatMap((command) => command.options.map((option) => ({ command: command.name(), option })));
  const names = new Set(["--help", ...all.map(({ option }) => option.long)]);
  expect([...PLACES.keys()].filter((option) => !names.has(option))).toEqual([]);
  const shown = all.filter(({ command, option }) => ["run", "plan", "evaluate"].includes(command) && !option.hidden);
  expect(shown.map(({ option }) => option.long ?? "").filter((option) => !PLACES.has(option))).toEqual([]);
});
