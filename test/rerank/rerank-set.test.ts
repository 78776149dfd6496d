import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FileError } from "../../src/errors.ts";
import { RERANK_INSTRUCT, RERANK_PROMPT } from "../../src/preflight/rerank-prompt.ts";
import { fillTemplate } from "../../src/rerank/rerank-prompt.ts";
import { parseRerankSet, readRerankSet } from "../../src/rerank/rerank-set.ts";

describe("a rerank set", () => {
  it("is read from JSON Lines, with or without grades, instructions and empty lines", () => {
    const text =
      '\uFEFF{"query":"q","documents":["a","b"],"relevance":[1,0]}\r\n\n{"query":"r","documents":["c"],"instruct":"i"}\n';
    expect(parseRerankSet(text, "set.jsonl").map(({ asked }) => asked)).toEqual([
      { query: "q", documents: ["a", "b"], relevance: [1, 0] },
      { query: "r", documents: ["c"], instruct: "i" },
    ]);
  });

  it.each([
    ['{"query":"q","documents":["a"],"query":"r"}', /line 1: says "query" \(line 1\) twice; delete/],
    ['{"query":"q","documents":["a"]}\n{"query":', /^set\.jsonl: line 2: not JSON/],
    ["[1,2]", /line 1: the document: expected an object, got a list/],
    ["null", /line 1: the document: expected an object, got null/],
    ['{"documents":["a"]}', /line 1: query: expected text, got nothing/],
    ['{"query":" ","documents":["a"]}', /query: expected text that is not empty, got the text " "/],
    ['{"query":"q","documents":[]}', /documents: expected a list of at least 1, got 0/],
    ['{"query":"q","documents":["a",3]}', /documents\[1\]: expected text, got 3/],
    [
      '{"query":"q","documents":["a"],"relevance":[1,2]}',
      /relevance: expected a number per document, 1 of them, got 2/,
    ],
    ['{"query":"q","documents":["a"],"relevance":"x"}', /relevance: expected a list, got the text "x"/],
    ['{"query":"q","documents":["a"],"relevance":[-1]}', /relevance\[0\]: expected a number of at least 0, got -1/],
    ['{"query":"q","documents":["a"],"instruct":5}', /instruct: expected text, got 5/],
    ["\n \n", /holds no query/],
  ])("says what is wrong with %s", (text, message) => {
    expect(() => parseRerankSet(text, "set.jsonl")).toThrow(message);
  });

  it("says that a model, a binary or no file is none", async () => {
    const dir = await mkdtemp(join(tmpdir(), "prism-set-"));
    const write = async (bytes: Uint8Array | string) => {
      await writeFile(join(dir, "x"), bytes);
      return readRerankSet(join(dir, "x"));
    };
    await expect(write("GGUF\u0003")).rejects.toThrow(
      /is a model, expected JSON Lines; name the models before --rerank/,
    );
    await expect(write(Uint8Array.of(255, 254, 200))).rejects.toThrow(/is not UTF-8/);
    await expect(readRerankSet(join(dir, "absent"))).rejects.toThrow(FileError);
    await rm(dir, { recursive: true });
  });

  it("comes with prism: every query has an answer, a look-alike and something off topic", async () => {
    const { path, queries } = await readRerankSet();
    expect(path).toBeUndefined();
    expect(queries.length).toBeGreaterThanOrEqual(12);
    for (const { documents, relevance = [] } of queries) {
      expect(new Set(documents).size).toBe(documents.length);
      for (const grade of [0, 1, 3]) expect(relevance).toContain(grade);
      // the answer is not always first
      expect(documents.length).toBeGreaterThanOrEqual(6);
    }
  });
});

describe("a rerank prompt", () => {
  it("ends in an empty think block and carries the default instruction", () => {
    const prompt = fillTemplate(RERANK_PROMPT, { query: "Q?", document: "D." });
    expect(prompt).toContain(`<Instruct>: ${RERANK_INSTRUCT}\n<Query>: Q?\n<Document>: D.<|im_end|>\n`);
    expect(prompt.endsWith("<|im_start|>assistant\n<think>\n\n</think>\n\n")).toBe(true);
  });
  it("leaves braces and dollars of the texts alone", () => {
    const pair = { query: "{document} $& $1", document: "{query}" };
    expect(fillTemplate("{query}|{document}", pair)).toBe("{document} $& $1|{query}");
  });
  it("puts an instruction where the template has a place for one, or has the default written out", () => {
    const pair = { query: "q", document: "d", instruct: "judge colours" };
    expect(fillTemplate("{instruct}: {query} {document}", pair)).toBe("judge colours: q d");
    expect(fillTemplate(`${RERANK_INSTRUCT}: {query} {document}`, pair)).toBe("judge colours: q d");
    expect(fillTemplate("{query} {document}", pair)).toBe("q d");
  });
});
