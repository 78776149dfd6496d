/** Writes the published PRISM-DQ recipes into plans/: `npx tsx research/make-published.ts`. */
import { writeFileSync } from "node:fs";
import { publishedDocuments } from "./published-documents.ts";

for (const [file, document] of publishedDocuments()) {
  const { tensors, ...head } = document;
  // a tensor per line: a diff of two recipes is then readable
  const lines = tensors.map((tensor) => `    ${JSON.stringify(tensor)}`).join(",\n");
  const opening = JSON.stringify(head, null, 2).replace(/\n\}$/, "");
  writeFileSync(new URL(`../plans/${file}`, import.meta.url), `${opening},\n  "tensors": [\n${lines}\n  ]\n}\n`);
}
