/** Writes the JSON Schema of every kind of document beside this file: `npm run schemas`. */
import { writeFileSync } from "node:fs";
import { DOCUMENT_KINDS } from "../src/document-kinds.ts";
import { schemaFile } from "../src/documents/document-kind.ts";
import { RERANK_QUERY } from "../src/rerank/rerank-set.ts";

const write = (file: string, schema: object) =>
  writeFileSync(new URL(file, import.meta.url), `${JSON.stringify(schema, null, 2)}\n`);

for (const kind of DOCUMENT_KINDS) write(schemaFile(kind), kind.schema);
write("rerank-query.schema.json", RERANK_QUERY);
