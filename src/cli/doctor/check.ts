/** One thing the doctor looked at, and the document of all of them (`prism.doctor/1`). */
import { defineDocument } from "../../documents/document-kind.ts";
import { type Content, exactly, flag, list, object, oneOf, optional, prose, text } from "../../documents/fields.ts";

const CHECK = object({
  name: text(),
  status: oneOf(
    ["ok", "absent", "missing"],
    "missing: PRISM can't work without it; absent: something optional is not there.",
  ),
  detail: prose(),
  remedy: optional(prose()),
});
export interface Check extends Content<typeof CHECK> {}

export const DOCTOR = defineDocument({
  id: "prism.doctor/1",
  noun: "a doctor's report",
  remedy: "run prism doctor again",
  description: "What PRISM needs on a machine, tried rather than guessed.",
  schema: object({ schema: exactly("prism.doctor/1"), prismVersion: text(), ok: flag(), checks: list(CHECK) }),
});
