/** One thing the doctor looked at, and the document of all of them (`prism.doctor/1`). */
import { defineDocument } from "../../documents/document-kind.ts";
import * as t from "../../documents/fields.ts";
import { TYPE_SPEEDS } from "../../evaluate/type-speeds.ts";

const CHECK = t.object({
  name: t.text(),
  status: t.oneOf(
    ["ok", "absent", "missing"],
    "missing: PRISM can't work without it; absent: something optional is not there.",
  ),
  detail: t.prose(),
  remedy: t.optional(t.prose()),
});
export interface Check extends t.Content<typeof CHECK> {}

export const DOCTOR = defineDocument({
  id: "prism.doctor/1",
  noun: "a doctor's report",
  remedy: "run prism doctor again",
  description: "What PRISM needs on a machine, tried rather than guessed.",
  schema: t.object({
    schema: t.exactly("prism.doctor/1"),
    prismVersion: t.text(),
    ok: t.flag(),
    checks: t.list(CHECK, "Empty with --types."),
    types: t.optional(TYPE_SPEEDS),
  }),
});

/** Do the work whose result is what the check says; what fails is said. */
export async function attempt(name: string, work: () => Promise<string>): Promise<Check> {
  try {
    return { name, status: "ok", detail: await work() };
  } catch (error) {
    return failed(name, error);
  }
}

/** Messages of the engine end with what to do, after a semicolon. */
export function failed(name: string, error: unknown): Check {
  const message = error instanceof Error ? error.message : String(error);
  const split = message.lastIndexOf("; ");
  if (split < 0) return { name, status: "missing", detail: message };
  return { name, status: "missing", detail: message.slice(0, split), remedy: message.slice(split + 2) };
}
