/**
 * Where a command writes: stdout is the result, as text or as exactly one JSON document; stderr is progress and notes.
 * Colours and bars appear on a terminal only.
 */
import { ansi, type Paint, plain } from "../report/terminal/paint.ts";
import { UNPRINTABLE } from "../unprintable.ts";
import { printDocument } from "./json-document.ts";
import { ProgressBar } from "./progress-bar.ts";

export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export interface Bar {
  /** `done` of the total are ready; `label` says which was the last. */
  update(done: number, label?: string): void;
  end(): void;
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
  /** Start a stage of `total` steps: a bar on a terminal, one line elsewhere. */
  progress(stage: string, total: number, unit: string): Bar;
  /** The bar of a stage that was announced with note(): nothing where there is no terminal. */
  bar(stage: string, total: number): Bar;
}

const SILENT: Bar = { update: () => undefined, end: () => undefined };

/** Open the output of a command. */
export function openOutput({ json = false, quiet = false }: OutputOptions): Output {
  const { stdout, stderr, env } = process;
  const isTerminal = stderr.isTTY === true && env.TERM !== "dumb";
  let bar: ProgressBar | undefined;
  return {
    result({ document, text, next }) {
      bar?.end();
      if (json) printDocument(document);
      else {
        const after = next === undefined ? "" : `\nnext: ${next}\n`;
        stdout.write(shown(`${text(painter(stdout, env), pictureWidth(stdout)).trimEnd()}\n${after}`));
      }
    },
    note(text) {
      if (quiet) return;
      bar?.clear();
      stderr.write(shown(`${text}\n`));
    },
    progress(stage, total, unit) {
      if (!quiet && !isTerminal) stderr.write(shown(`${stage}: ${total} ${unit}\n`));
      return this.bar(stage, total);
    },
    bar(stage, total) {
      if (quiet || !isTerminal) return SILENT;
      bar = new ProgressBar(stderr, stage, total);
      return bar;
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
