/** The error of a command as a document (`prism.error/1`): what `--json` prints where there is no result. */
import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import { defineDocument } from "./document-kind.ts";
import * as t from "./fields.ts";
import { gateResult } from "./gate-result.ts";

export const ERROR = t.object({
  code: t.oneOf(Object.keys(ERROR_CODES) as ErrorCode[], "What kind of error; docs/exit-codes.md lists them."),
  message: t.prose("What stderr says: what, expected, got, and what to do."),
  exitCode: t.count(),
  path: t.optional(t.prose("The file it is about.")),
  finding: t.optional(t.text("Its code among the findings of prism inspect, where it has one.")),
  findings: t.optional(t.list(t.text(), "Codes of the findings that --strict does not allow.")),
  possible: t.optional(t.object({ minBytes: t.bytes(), maxBytes: t.bytes() }, "File sizes that can be reached.")),
  gates: t.optional(t.list(gateResult({ verdictCode: t.optional(t.text()) }), "Gates that were missed.")),
  logTail: t.optional(t.list(t.prose(), "Last lines of llama.cpp.")),
});
export interface ErrorFields extends t.Content<typeof ERROR> {}

export const ERROR_DOCUMENT = defineDocument({
  id: "prism.error/1",
  noun: "an error of a command",
  remedy: "run the command again",
  description: "What a command with --json prints where it fails before it has a result.",
  schema: t.object({ schema: t.exactly("prism.error/1"), prismVersion: t.text(), error: ERROR }),
});
export interface ErrorDocument extends t.Content<typeof ERROR_DOCUMENT.schema> {}
