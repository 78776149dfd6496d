import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { openRunState, parseRun, runDirectory } from "../../src/run/run-state.ts";
import { MODEL, startPrism } from "../cli/prism.ts";

const WHOLE = new URL("../documents/first-release/state.json", import.meta.url);

let dir: string;
let text: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-torn-"));
  text = await readFile(WHOLE, "utf8");
});
afterAll(() => rm(dir, { recursive: true }));

async function runWith(name: string, state: string): Promise<string> {
  await mkdir(join(dir, name), { recursive: true });
  await writeFile(join(dir, name, "state.json"), state);
  return join(dir, name);
}

describe("a torn state.json", () => {
  it("is refused by openRunState with the byte and the remedy; --force begins anew", async () => {
    const path = await runWith("torn", text.slice(0, 1000));
    const directory = runDirectory(path);
    const { asked } = parseRun(text, "state.json");
    await expect(openRunState(directory, asked, false)).rejects.toThrow(FormatError);
    await expect(openRunState(directory, asked, false)).rejects.toThrow(
      /state\.json: the state of a run that is cut off at byte 1000, where the file ends; --force starts the run anew, or delete the file$/,
    );
    expect(await readFile(directory.state, "utf8")).toBe(text.slice(0, 1000));
    expect((await openRunState(directory, asked, true)).rows).toEqual([]);
    await runWith("torn", text);
    expect((await openRunState(directory, asked, false)).rows).toHaveLength(parseRun(text, "state.json").rows.length);
  });

  it("and a damaged one are told by every command that reads a run, with 1 and no bug", async () => {
    const torn = await runWith("cli", text.slice(0, 500));
    const cut = `prism: ${join("cli", "state.json")}: the state of a run that is cut off at byte 500, where the file ends; --force starts the run anew, or delete the file\n`;
    const commands = [
      ["run", MODEL, "--like", "Q3_K_M", "--out", "cli"],
      ["show", "cli"],
      ["report", "cli"],
    ];
    for (const command of commands) {
      const { code, stderr } = await startPrism(command, dir).outcome;
      expect({ code, stderr: stderr.split("\n").slice(-2).join("\n") }).toEqual({ code: 1, stderr: cut });
    }
    await writeFile(join(torn, "state.json"), text.replace(/"mean":[\d.]+/, '"mean":"NaN"'));
    for (const command of commands) {
      const { code, stderr } = await startPrism(command, dir).outcome;
      expect(code).toBe(1);
      expect(stderr).toMatch(/rows\[1\]\.kld\.mean \("plan"\): expected a number, got the text "NaN"; --force/);
    }
  }, 120_000);
});
