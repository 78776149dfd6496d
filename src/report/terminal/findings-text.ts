/** Findings as text: severity and code, what llama.cpp makes of it, the message, what to do. */

import { printable } from "../../plan/printable.ts";
import type { Effect, Finding } from "../../preflight/finding-codes.ts";
import type { InspectedFinding } from "../../preflight/inspection.ts";
import { type Colour, type Paint, plain } from "./paint.ts";
import { TERMINAL_WIDTH, wrapWords } from "./wrap-words.ts";

const INDENT = "  ";

const COLOURS: Readonly<Record<Finding["severity"], Colour>> = { error: "red", warning: "yellow", info: "dim" };

const EFFECTS: Readonly<Record<Effect, string>> = {
  refused: "llama.cpp refuses the file",
  misbehaves: "misbehaves",
  differs: "only differs",
};

/** Render findings, errors first. No final line break. */
export function renderFindings(
  findings: readonly InspectedFinding[],
  paint: Paint = plain,
  width = TERMINAL_WIDTH,
): string {
  const order = Object.keys(COLOURS);
  return [...findings]
    .sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
    .map(({ code, severity, effect, repairable, message, remedy }) => {
      const known = effect === undefined ? "" : `: ${EFFECTS[effect]}`;
      const mended = repairable ? "; prism repair can mend it" : "";
      const heading = `${paint(COLOURS[severity], severity)} ${code}${known}${mended}`;
      return [heading, indented(message, "", width), indented(remedy, "-> ", width)].join("\n");
    })
    .join("\n");
}

function indented(text: string, mark: string, width: number): string {
  const inner = INDENT + " ".repeat(mark.length);
  const lines = wrapWords(printable(text), width - inner.length).split("\n");
  return lines.map((line, index) => (index === 0 ? INDENT + mark : inner) + line).join("\n");
}
