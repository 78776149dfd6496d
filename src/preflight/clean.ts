/** What --strict asks of a model. */
import { GateError } from "../errors.ts";
import type { Finding } from "./finding-codes.ts";

/** Throws GateError, which names them, where there are errors or warnings among the findings. */
export function requireClean(path: string, findings: readonly Finding[]): void {
  const wrong = findings.filter(({ severity }) => severity !== "info");
  if (wrong.length === 0) return;
  const codes = wrong.map(({ code, severity }) => `${code} (${severity})`).join(", ");
  throw new GateError(`${path}: --strict allows no errors and no warnings, found ${codes}; see prism inspect`, {
    findings: [...new Set(wrong.map(({ code }) => code))],
  });
}
