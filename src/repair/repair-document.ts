/** What prism repair did or would do (`prism.repair/1`). */
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";

export const REPAIR = defineDocument({
  id: "prism.repair/1",
  noun: "a repair",
  remedy: "run prism repair again",
  description: "What is mended in a model, what can't be, and the file that was written.",
  schema: t.object({
    schema: t.exactly("prism.repair/1"),
    path: t.name(),
    dryRun: t.flag(),
    changes: t.list(t.prose("In words.")),
    refusals: t.list(t.prose("In words.")),
    output: t.optional(t.object({ path: t.name(), sha256: t.text(), fileBytes: t.bytes() })),
  }),
});
