import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fitCommand, fitText } from "../../src/cli/fit-command.ts";
import { messageWidth, terminalWidth } from "../../src/cli/terminal-width.ts";
import { displayWidth, fitLines, wrapWords } from "../../src/report/terminal/wrap-words.ts";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
afterAll(folder.remove);

/** What may be longer than a line: paths and addresses have no spaces to break at, and sha256sum takes a line whole. */
const UNBREAKABLE = /^\s*\S*[/\\@]\S*$|^[0-9a-f]{64} {2}\S+$/;

/** Lines that are too long, and those that end amid a word that the next line goes on with. */
function ill(text: string, width: number): string[] {
  return text.split("\n").filter((line) => displayWidth(line) > width && !UNBREAKABLE.test(line));
}

const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await prism(args, folder.path);
  expect(code, stderr).toBe(0);
  return stdout;
};

const VERBS = [
  ...["run", "inspect", "repair", "analyze", "plan", "show", "quantize", "evaluate", "imatrix", "prior", "report"],
  ...["review", "upload", "serve", "doctor"],
];

const ROW = "A lamp stood on the table, and the rain went on until the morning came. ";

describe("80 columns", () => {
  beforeAll(async () => {
    await copyFile(MODEL, join(folder.path, "m.gguf"));
    await writeFile(join(folder.path, "text.txt"), ROW.repeat(200));
    const documents = [ROW, "Is it safe to charge a phone overnight, or is the battery harmed by that?", "No."];
    await writeFile(join(folder.path, "rank.jsonl"), `${JSON.stringify({ query: documents[1], documents })}\n`);
    await run("analyze", "m.gguf", "-o", "a.json");
    await run("plan", "a.json", "--like", "Q3_K_M", "-o", "plan.json");
    await run("plan", "a.json", "--like", "Q4_K_M", "-o", "larger.json");
    await run("quantize", "plan.json", "-o", "q.gguf");
  }, 300_000);

  it.each<[name: string, ...args: string[]]>([
    ["inspect", "inspect", "m.gguf"],
    ["inspect with memory", "inspect", "m.gguf", "--vram", "1GB"],
    ["analyze", "analyze", "m.gguf", "-o", "b.json"],
    ["plan", "plan", "a.json", "--like", "Q3_K_M", "-o", "other.json", "--recipe-dir", "recipes"],
    ["plan again", "plan", "--from", "plan.json", "-o", "again.json", "--recipe-dir", "again"],
    ["show a plan", "show", "plan.json"],
    ["show what differs", "show", "plan.json", "--diff", "larger.json"],
    ["show why", "show", "plan.json", "--explain", "blk.3.ffn_down.weight"],
    ["quantize", "quantize", "plan.json", "-o", "a-name-that-is-so-long-that-no-line-has-room-for-it-and-a-hash.gguf"],
    [
      "evaluate",
      "evaluate",
      "q.gguf",
      "--reference",
      "m.gguf",
      "--text",
      "text.txt",
      "--chunks",
      "2",
      "--context",
      "32",
    ],
    ["evaluate --rerank", "evaluate", "q.gguf", "--reference", "m.gguf", "--rerank", "rank.jsonl"],
    ["prior", "prior", "show"],
    ["report", "report", "plan.json", "-o", "r.html"],
    ["repair", "repair", "m.gguf", "--dry-run"],
    ["doctor", "doctor"],
  ])(
    "%s",
    async (_, ...args) => {
      const text = await run(...args);
      expect(text.length).toBeGreaterThan(40);
      expect(ill(text, 80)).toEqual([]);
    },
    60_000,
  );

  it("run, and show of a run", async () => {
    const asked = [
      "--like",
      "Q3_K_M",
      "--refine",
      "0",
      "--imatrix",
      "none",
      "--feedback",
      "off",
      "--speed",
      "off",
      "--text",
      "text.txt",
    ];
    const text = await run("run", "m.gguf", ...asked, "--chunks", "2", "--context", "32", "--out", "out");
    expect(ill(text, 80)).toEqual([]);
    expect(text).toContain("against the plan");
    expect(text).toMatch(/^ {2}shuffled plan 1 /m);
    expect(text).not.toMatch(/s = elements|shuffle 1/);
    expect(text).toMatch(/shuffled: with\s+the plan's sensitivities/);
    expect(ill(await run("show", "out"), 80)).toEqual([]);
  }, 300_000);

  it("--help of every command", async () => {
    const texts = await Promise.all([run("--help"), ...VERBS.map((verb) => run(verb, "--help"))]);
    for (const text of texts) expect(ill(text, 80), text.slice(0, 60)).toEqual([]);
    const listed = texts[0]?.match(/^ {2}([a-z]+)(?= \[| <)/gm)?.map((line) => line.trim());
    expect(listed?.toSorted()).toEqual(VERBS.toSorted());
  }, 60_000);

  it("are as many as COLUMNS says, where that is more", async () => {
    const { stdout } = await prism(["evaluate", "--help"], folder.path, { COLUMNS: "120" });
    const longest = Math.max(...stdout.split("\n").map(displayWidth));
    expect(longest).toBeGreaterThan(80);
    expect(longest).toBeLessThanOrEqual(120);
  });

  it("are kept by messages where lines are broken, and a message is one line in a log", async () => {
    const asked = ["plan", "m.gguf", "--bpw", "4", "--sensitivity", "guess"];
    const log = await prism(asked, folder.path);
    expect(log.code).toBe(2);
    expect(
      log.stderr
        .trim()
        .split("\n")
        .some((line) => line.length > 80),
    ).toBe(true);
    const narrow = await prism(asked, folder.path, { COLUMNS: "80" });
    expect(ill(narrow.stderr, 80)).toEqual([]);
    expect(narrow.stderr.replace(/\s+/g, " ")).toBe(log.stderr.replace(/\s+/g, " "));
  });
});

describe("lines", () => {
  it("break at spaces alone, and not between a number and its unit", () => {
    const text = "the plan has a KLD of 0.0121 ± 0.0003 nats, 12 % above that of --like Q3_K_M by prism run";
    for (let width = 26; width <= 90; width++) {
      const lines = wrapWords(text, width).split("\n");
      expect(lines.join(" ")).toBe(text);
      expect(lines.every((line) => line.length <= width)).toBe(true);
      for (const kept of ["± 0.0003", "12 %", "--like Q3_K_M", "prism run"]) {
        expect(
          lines.some((line) => line.includes(kept)),
          `${width}: ${kept}`,
        ).toBe(true);
      }
    }
  });

  it("hang below their beginning", () => {
    expect(fitLines("! one two three four", 12)).toBe("! one two\n  three four");
    expect(fitLines("    one two three", 12)).toBe("    one two\n      three");
  });

  it("are counted in columns: wide, combining and coloured characters", () => {
    expect(displayWidth("漢字")).toBe(4);
    expect(displayWidth("e\u0301")).toBe(1);
    expect(displayWidth("\u001b[31mred\u001b[0m")).toBe(3);
  });

  it("of commands go on with a backslash, and quoted words stay whole", () => {
    const command = "next: prism quantize 'my plan.json' --source models/model-f16.gguf --calibration a.txt";
    const lines = fitCommand(command, 50, "linux").split("\n");
    expect(lines.every((line) => line.length <= 50)).toBe(true);
    expect(lines.slice(0, -1).every((line) => line.endsWith(" \\"))).toBe(true);
    expect(lines.map((line) => line.replace(/ \\$/, "").trim()).join(" ")).toBe(command);
    expect(fitCommand(command, 50, "win32")).toBe(command);
    const folded = process.platform === "win32" ? command : lines.join("\n");
    expect(fitText(`wrote plan.json\n${command}`, 50)).toBe(`wrote plan.json\n${folded}`);
  });

  it("that sha256sum takes stay whole", () => {
    const line = `${"0123abcd".repeat(8)}  models/Model with a name-PRISM-4.85bpw-Q4_K_M.gguf`;
    expect(fitText(`SHA-256:\n${line}`, 80)).toBe(`SHA-256:\n${line}`);
  });
});

describe("the width", () => {
  const stream = (columns?: number) => ({ isTTY: columns !== undefined, columns: columns ?? 0 });

  it("is the terminal's, else that of COLUMNS, else 80", () => {
    expect(terminalWidth(stream(120), { COLUMNS: "90" })).toBe(120);
    expect(terminalWidth(stream(), { COLUMNS: "90" })).toBe(90);
    expect(terminalWidth(stream(), {})).toBe(80);
    expect(terminalWidth(stream(), { COLUMNS: "wide" })).toBe(80);
    expect(terminalWidth(stream(20), {})).toBe(60);
    expect(terminalWidth(stream(9999), {})).toBe(200);
  });

  it("of a message is that of a terminal, or none", () => {
    expect(messageWidth(stream(100), {})).toBe(100);
    expect(messageWidth(stream(), {})).toBe(Number.POSITIVE_INFINITY);
  });
});
