import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { DOCUMENT_KINDS } from "../../src/document-kinds.ts";
import { OUTCOMES, ROW_VERDICTS, RUN_VERDICTS } from "../../src/run/verdict-codes.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { prism, scratchFolder, startPrism } from "./prism.ts";

const page = readFileSync(new URL("../../docs/ci.md", import.meta.url), "utf8");
const folder = scratchFolder();
afterAll(folder.remove);

/** Fields that the page leaves out. */
const LESSER = ["onlyBefore", "onlyAfter", "lossUnit"];

/** What a command prints with --json: exactly one document, and nothing on stderr. */
async function documentOf(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await prism([...args, "--json", "--quiet"], folder.path);
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: "" });
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** The same of a command that ends when it is told to: `seen` says when. */
async function documentOfServer(seen: "stdout" | "stderr", ...args: string[]): Promise<Record<string, unknown>> {
  const { child, outcome } = startPrism([...args, "--json"], folder.path);
  child[seen]?.once("data", () => child.kill("SIGINT"));
  const { code, stdout } = await outcome;
  expect(code).toBe(130);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** The second cell of the row of a command, as names in backticks. */
function documented(command: string): string[] {
  const row = page.split("\n").find((line) => line.startsWith(`| \`${command}\` `));
  return [...(row?.split("|")[2] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);
}

const RUN = ["run", "llama.gguf", "--like", "Q4_K_M", "--text", "text.txt", "--context", "16", "--chunks", "2"];
const QUICK = ["--refine", "0", "--imatrix", "none", "--feedback", "off", "--speed", "off", "--out", "run"];

beforeAll(async () => {
  await writeRunnable("llama", folder.path);
  await writeRunnable("reranker", folder.path);
  writeFileSync(
    `${folder.path}/text.txt`,
    "A lamp stood on the table, and the rain went on until morning. ".repeat(20),
  );
});

describe("--json of a command that succeeds", () => {
  it("is one document, which docs/ci.md describes, for every command", async () => {
    const printed: Record<string, Record<string, unknown>> = {
      inspect: await documentOf("inspect", "llama.gguf"),
      analyze: await documentOf("analyze", "llama.gguf", "-o", "a.json"),
      plan: await documentOf("plan", "a.json", "--like", "Q4_K_M", "-o", "p.json"),
      quantize: await documentOf("quantize", "p.json", "--source", "llama.gguf", "-o", "q.gguf"),
      evaluate: await documentOf("evaluate", "q.gguf", "--text", "text.txt", "--context", "16", "--chunks", "2"),
      imatrix: await documentOf("imatrix", "llama.gguf", "--text", "text.txt", "--context", "16", "-o", "i.gguf"),
      repair: await documentOf("repair", "llama.gguf"),
      run: await documentOf(...RUN, ...QUICK),
      "show --diff": await documentOf("show", "p.json", "--diff", "run/plans/plan.json"),
      "show --explain": await documentOf("show", "p.json", "--explain", "blk.0.ffn_down.weight"),
      "prior show": await documentOf("prior", "show"),
      report: await documentOf("report", "run"),
      "report --svg": await documentOf("report", "run", "--svg", "svg"),
      upload: await documentOf("upload", "run", "owner/name"),
      "shard plan": await documentOf("shard", "plan", "llama.gguf", "--dir", "campaign", "--jobs", "2"),
      "shard run": await documentOf("shard", "run", "campaign"),
      "shard submit": await documentOf("shard", "submit", "campaign", "--slurm"),
      "shard cancel": await documentOf("shard", "cancel", "campaign"),
      "shard status": await documentOf("shard", "status", "campaign"),
      "shard retry": await documentOf("shard", "retry", "campaign"),
      "shard merge": await documentOf("shard", "merge", "campaign", "-o", "merged.json"),
      doctor: await documentOf("doctor"),
      serve: await documentOfServer("stdout", "serve", "reranker.gguf", "--port", "0"),
      review: await documentOfServer("stderr", "review", "p.json"),
    };
    const { commands } = await createProgram({ signal: new AbortController().signal });
    const walked = new Set(Object.keys(printed).map((command) => command.split(" ")[0]));
    expect(commands.map((command) => command.name()).filter((name) => !walked.has(name))).toEqual([]);
    expect(await documentOf("show", "run")).toEqual(printed.run);

    for (const [command, document] of Object.entries(printed)) {
      const { schema } = document;
      if (schema !== undefined) {
        expect(documented(command)[0]).toBe(schema);
        expect(DOCUMENT_KINDS.map(({ id }) => id)).toContain(schema);
        continue;
      }
      const names = documented(command.replace(/ --(diff|svg)$/, ""));
      const undescribed = Object.keys(document).filter((field) => !names.includes(field));
      expect({ command, undescribed: undescribed.filter((field) => !LESSER.includes(field)) }).toEqual({
        command,
        undescribed: [],
      });
    }
  }, 240_000);

  it("has verdicts as codes, all of which docs/ci.md explains", () => {
    const line = (start: string) => page.split("\n").find((one) => one.startsWith(`| ${start}`)) ?? "";
    for (const code of RUN_VERDICTS) expect(line("`verdictCode` of the run")).toContain(`\`${code}\``);
    for (const code of ROW_VERDICTS) expect(line("`verdictCode` of a row")).toContain(`\`${code}\``);
    for (const code of OUTCOMES) expect(line("`outcomeCode` of")).toContain(`\`${code}\``);
  });
});
