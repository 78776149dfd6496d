/** Gates of --require in the terminal: a line each. */
import { gotInWords } from "../../run/gates.ts";
import type { GateResult } from "../../run/run-document.ts";

/** `of`: the file that was held against them, where there are several. */
export function gateLines(gates: readonly GateResult[], of?: string): string[] {
  const file = of === undefined ? "" : `${of}: `;
  return gates.map(
    (held) => `${file}${held.met ? "met" : "MISSED"}: --require "${held.gate}", got ${gotInWords(held)}`,
  );
}
