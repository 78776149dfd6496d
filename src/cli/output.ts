/**
 * Where a command writes: stdout is the result, as text or as exactly one JSON document; stderr is progress and notes.
 * Colours and bars appear on a terminal only.
 */
import { ansi, type Paint, plain } from "../report/terminal/paint.ts";
import { UNPRINTABLE } from "../unprintable.ts";
import { printDocument } from "./json-document.ts";
import { jsonView, linesAreAsked, writeLine } from "./json-lines.ts";
import { barView } from "./progress-bar.ts";
import { lineView, NO_VIEW, type ProgressView } from "./progress-view.ts";

export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export interface Result {
  /** What --json prints. */
  readonly document: unknown;
  /** What a person reads, without the last line; `width` is what pictures may take. */
  readonly text: (paint: Paint, width: number) => string;
  /** The next command to type; undefined where none leads on. */
  readonly next: string | undefined;
}

export interface Output {
  /** Print the result; once, at the end. */
  result(result: Result): void;
  /** Say something on stderr that is not the result. */
  note(text: string): void;
  /** How progress is shown: a bar on a terminal, lines elsewhere. */
  view(): ProgressView;
}

/** Open the output of a command. */
export function openOutput({ json = false, quiet = false }: OutputOptions): Output {
  const { stdout, stderr, env } = process;
  const isTerminal = stderr.isTTY === true && env.TERM !== "dumb";
  let view = NO_VIEW;
  return {
    result({ document, text, next }) {
      view.end();
      if (json) printDocument(document);
      else {
        const after = next === undefined ? "" : `\nnext: ${next}\n`;
        stdout.write(shown(`${text(painter(stdout, env), pictureWidth(stdout)).trimEnd()}\n${after}`));
      }
    },
    note(text) {
      if (quiet) return;
      if (linesAreAsked()) return writeLine({ event: "note", text });
      view.clear();
      stderr.write(shown(`${text}\n`));
    },
    view() {
      if (quiet) return NO_VIEW;
      if (linesAreAsked()) view = jsonView();
      else view = isTerminal ? barView(stderr) : lineView((line) => stderr.write(shown(`${line}\n`)));
      return view;
    },
  };
}

const KEPT_OR_UNPRINTABLE = new RegExp(`(\\n|\\u001b\\[\\d+m)|${UNPRINTABLE.source}`, "gu");

/** Text as it may go to a terminal: names of files are in it. Line breaks and our colours stay. */
function shown(text: string): string {
  return text.replace(KEPT_OR_UNPRINTABLE, (_, kept: string | undefined) => kept ?? "?");
}

/** Columns of a picture where there is no terminal, and the narrowest and widest on one. */
const WIDTH = { none: 80, least: 60, most: 200 };

function pictureWidth({ isTTY, columns }: NodeJS.WriteStream): number {
  return isTTY === true && columns > 0 ? Math.min(WIDTH.most, Math.max(WIDTH.least, columns)) : WIDTH.none;
}

/** NO_COLOR (https://no-color.org) and anything that is not a terminal get plain text. */
function painter(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Paint {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb" ? ansi : plain;
}
