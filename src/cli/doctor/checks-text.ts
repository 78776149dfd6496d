/** What the doctor found, one line per check and one for its remedy. */
import { printable } from "../../plan/printable.ts";
import type { Colour, Paint } from "../../report/terminal/paint.ts";
import { wrapWords } from "../../report/terminal/wrap-words.ts";
import type { Check } from "./check.ts";

const NAME_WIDTH = 18;
const STATUS_WIDTH = 9;

const COLOURS: Readonly<Record<Check["status"], Colour>> = { ok: "green", absent: "dim", missing: "red" };

/** Render the checks. Ends with a line break. */
export function renderChecks(checks: readonly Check[], paint: Paint, width: number): string {
  const margin = " ".repeat(NAME_WIDTH + STATUS_WIDTH);
  const lines = checks.flatMap(({ name, status, detail, remedy }) => {
    const [first = "", ...more] = wrapped(detail, width);
    const fix = remedy === undefined ? [] : wrapped(`-> ${remedy}`, width);
    return [
      name.padEnd(NAME_WIDTH) + paint(COLOURS[status], status) + " ".repeat(STATUS_WIDTH - status.length) + first,
      ...[...more, ...fix].map((line) => margin + line),
    ];
  });
  return `${lines.join("\n")}\n`;
}

function wrapped(text: string, width: number): string[] {
  return text.split("\n").flatMap((line) => wrapWords(printable(line), width - NAME_WIDTH - STATUS_WIDTH).split("\n"));
}
