/**
 * Where a command writes: stdout is the result, as text or as exactly one JSON document; stderr is progress and notes.
 * Colours and bars appear on a terminal only.
 */
import { ansi, type Paint, plain } from "../report/terminal/paint.ts";
import { fitLines } from "../report/terminal/wrap-words.ts";
import { UNPRINTABLE } from "../unprintable.ts";
import { fitText } from "./fit-command.ts";
import { printDocument } from "./json-document.ts";
import { jsonView, linesAreAsked, writeLine } from "./json-lines.ts";
import { barView } from "./progress-bar.ts";
import { lineView, NO_VIEW, type ProgressView } from "./progress-view.ts";
import { messageWidth, terminalWidth } from "./terminal-width.ts";

export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export interface Result {
  /** What --json prints. */
  readonly document: unknown;
  /** What a person reads, without the last line, in `width` columns. */
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
        const width = terminalWidth(stdout, env);
        const after = next === undefined ? "" : `\n${fitText(`next: ${next}`, width)}\n`;
        const fitted = fitText(text(painter(stdout, env), width).trimEnd(), width);
        stdout.write(shown(`${fitted}\n${after}`));
      }
    },
    note(text) {
      if (quiet) return;
      if (linesAreAsked()) return writeLine({ event: "note", text });
      view.clear();
      stderr.write(shown(`${fitLines(text, messageWidth(stderr, env))}\n`));
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

/** NO_COLOR (https://no-color.org) and anything that is not a terminal get plain text. */
function painter(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Paint {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb" ? ansi : plain;
}
