/** Findings as text: severity and code, the message, what to do. 80 columns. */

import { printable } from "../../plan/printable.ts";
import type { Finding } from "../../preflight/finding-codes.ts";
import { type Colour, type Paint, plain } from "./paint.ts";
import { wrapWords } from "./table.ts";

const WIDTH = 80;
const INDENT = "  ";

const COLOURS: Readonly<Record<Finding["severity"], Colour>> = { error: "red", warning: "yellow", info: "dim" };

/** Render findings, errors first. No final line break. */
export function renderFindings(findings: readonly Finding[], paint: Paint = plain): string {
  const order = Object.keys(COLOURS);
  return [...findings]
    .sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
    .map(({ code, severity, message, remedy }) =>
      [`${paint(COLOURS[severity], severity)} ${code}`, indented(message, ""), indented(remedy, "-> ")].join("\n"),
    )
    .join("\n");
}

function indented(text: string, mark: string): string {
  const inner = INDENT + " ".repeat(mark.length);
  const lines = wrapWords(printable(text), WIDTH - inner.length).split("\n");
  return lines.map((line, index) => (index === 0 ? INDENT + mark : inner) + line).join("\n");
}
