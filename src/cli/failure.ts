/** What a person sees of an error, and its exit code. */
import { CommanderError } from "commander";
import { EXIT, PrismError } from "../errors.ts";
import { printable } from "../plan/printable.ts";

/** Print an error on stderr and return the exit code. The stack of an unexpected one only with PRISM_DEBUG=1. */
export function reportError(error: unknown): number {
  // commander has printed its message already
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof PrismError) {
    say(error.message);
    return error.exitCode;
  }
  if (isSystemError(error)) {
    say(error.message);
    return EXIT.failure;
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  say(`${message}\nthis is a bug in prism; PRISM_DEBUG=1 shows where, please report it with that`);
  if (process.env.PRISM_DEBUG === "1") process.stderr.write(`${stack}\n`);
  return EXIT.failure;
}

/** Messages carry names from files, which may hold control characters. */
function say(message: string): void {
  const lines = message.split("\n").map(printable);
  process.stderr.write(`prism: ${lines.join("\n")}\n`);
}

/** The operating system's refusals (a disk full in the middle of a read) are no bugs. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}
