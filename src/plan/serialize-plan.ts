import type { Plan } from "./plan.ts";

/** The text of plan.json: one line per value, so that a person can edit it and a diff shows what changed. */
export function serializePlan(plan: Plan): string {
  return `${JSON.stringify(plan, null, 1)}\n`;
}
