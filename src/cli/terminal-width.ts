/** How many columns there are to write in. */
import { TERMINAL_WIDTH } from "../report/terminal/wrap-words.ts";

/** Columns that tables and pictures have at least and at most, whatever the terminal says. */
const LEAST = 60;
const MOST = 200;

type Stream = Pick<NodeJS.WriteStream, "isTTY" | "columns">;

/** Columns of what a stream shows: the terminal's, or COLUMNS from the environment, else 80. */
export function terminalWidth(stream: Stream, env: NodeJS.ProcessEnv): number {
  return knownWidth(stream, env) ?? TERMINAL_WIDTH;
}

/** Columns of a message: where no terminal breaks lines, one message is one line of a log. */
export function messageWidth(stream: Stream, env: NodeJS.ProcessEnv): number {
  return knownWidth(stream, env) ?? Number.POSITIVE_INFINITY;
}

function knownWidth({ isTTY, columns }: Stream, { COLUMNS = "" }: NodeJS.ProcessEnv): number | undefined {
  const known = isTTY === true && columns > 0 ? columns : /^[1-9]\d{0,5}$/.test(COLUMNS) ? Number(COLUMNS) : undefined;
  return known && Math.min(MOST, Math.max(LEAST, known));
}
