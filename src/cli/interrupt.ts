/** Ctrl-C: the first asks the command to stop and clean up, the second ends the process at once. */
import { setMaxListeners } from "node:events";
import { removeUnderWay } from "../disk/aside-file.ts";
import { EXIT } from "../errors.ts";
import { printErrorDocument } from "./json-document.ts";
import { linesAreAsked, writeLine } from "./json-lines.ts";

/** Milliseconds that a command has to clean up before it is ended. */
const DEADLINE_MS = 10_000;

const INTERRUPTED = { code: "interrupted", message: "interrupted", exitCode: EXIT.interrupted } as const;

export interface Interruption {
  readonly signal: AbortSignal;
  /** Leave with the exit code of an interrupted program, half-written files removed. */
  exit(): never;
}

/** Abort a signal on SIGINT and SIGTERM instead of dying. */
export function watchSignals(): Interruption {
  const controller = new AbortController();
  // every piece of work of a command listens to it
  setMaxListeners(0, controller.signal);
  const exit = (): never => {
    removeUnderWay();
    printErrorDocument(INTERRUPTED);
    if (linesAreAsked()) writeLine({ event: "error", error: INTERRUPTED });
    process.exit(EXIT.interrupted);
  };
  const stop = () => {
    if (controller.signal.aborted) exit();
    setTimeout(exit, DEADLINE_MS).unref();
    const text = "interrupted, stopping (Ctrl-C again ends it at once)";
    if (linesAreAsked()) writeLine({ event: "note", text });
    else process.stderr.write(`\nprism: ${text}\n`);
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return { signal: controller.signal, exit };
}
