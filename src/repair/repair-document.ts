/** What prism repair did or would do (`prism.repair/1`). */
import { defineDocument } from "../documents/document-kind.ts";
import { bytes, exactly, flag, list, name, object, optional, prose, text } from "../documents/fields.ts";

export const REPAIR = defineDocument({
  id: "prism.repair/1",
  noun: "a repair",
  remedy: "run prism repair again",
  description: "What is mended in a model, what can't be, and the file that was written.",
  schema: object({
    schema: exactly("prism.repair/1"),
    path: name(),
    dryRun: flag(),
    changes: list(prose("In words.")),
    refusals: list(prose("In words.")),
    output: optional(object({ path: name(), sha256: text(), fileBytes: bytes() })),
  }),
});
