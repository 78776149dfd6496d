/** A gate of `--require` in a document: what it was held against, and whether it is met. */
import type { TProperties } from "@sinclair/typebox";
import * as t from "./fields.ts";

const FIELDS = {
  gate: t.text("The condition, as it was read."),
  value: t.optional(t.number("What was measured; of beats() and ties(), the row's distance minus the plan's.")),
  met: t.flag(),
};

/** With `more` fields, also in those of its parts. */
export function gateResult<More extends TProperties>(more: More) {
  const of = t.optional(t.list(t.object({ ...FIELDS, ...more }), "Of several conditions joined by ||: each of them."));
  return t.object({ ...FIELDS, ...more, of });
}

/** Of a model that was evaluated. */
export const GATE_RESULT = gateResult({});
