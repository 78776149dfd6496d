import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Ajv } from "ajv";
import { expect, it } from "vitest";
import { DOCUMENT_KINDS } from "../../src/document-kinds.ts";
import { schemaFile } from "../../src/documents/document-kind.ts";
import { RERANK_QUERY } from "../../src/rerank/rerank-set.ts";
import { KINDS } from "./kinds.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const committed = (file: string) => JSON.parse(readFileSync(resolve(ROOT, "plans", file), "utf8"));

it("the schemas in plans/ are those of the program; if not, npm run schemas", () => {
  const files = readdirSync(resolve(ROOT, "plans")).filter((file) => file.endsWith(".schema.json"));
  expect(files.sort()).toEqual([...DOCUMENT_KINDS.map(schemaFile), "rerank-query.schema.json"].sort());
  for (const kind of DOCUMENT_KINDS) {
    expect(committed(schemaFile(kind))).toEqual(JSON.parse(JSON.stringify(kind.schema)));
    expect(committed(schemaFile(kind)).$id).toBe(`urn:prism-gguf:${kind.id}`);
  }
  expect(committed("rerank-query.schema.json")).toEqual(JSON.parse(JSON.stringify(RERANK_QUERY)));
});

it("every schema id that the source names has a definition", () => {
  const sources = readdirSync(resolve(ROOT, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const named = sources.flatMap(
    (file) => readFileSync(resolve(ROOT, "src", file), "utf8").match(/(?<=")prism\.[a-z]+\/\d+(?=")/g) ?? [],
  );
  expect([...new Set(named)].sort()).toEqual(DOCUMENT_KINDS.map(({ id }) => id).sort());
});

it.each(KINDS)("the shipped schema takes %s without the program", (_, text) => {
  const document = JSON.parse(text);
  const kind = DOCUMENT_KINDS.find(({ id }) => id === document.schema);
  const validate = new Ajv({ strict: true }).compile(committed(schemaFile(kind ?? { id: "" })));
  expect(validate(document), JSON.stringify(validate.errors)).toBe(true);
  expect(validate({ ...document, schema: "prism.other/1" })).toBe(false);
});

it("the rerank set of the package follows its schema", () => {
  const validate = new Ajv({ strict: true }).compile(committed("rerank-query.schema.json"));
  const lines = readFileSync(resolve(ROOT, "data/rerank-set.jsonl"), "utf8").trim().split("\n");
  for (const line of lines) expect(validate(JSON.parse(line))).toBe(true);
});
