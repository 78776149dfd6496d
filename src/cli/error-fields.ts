/** What a program is told of anything that was thrown: its kind, its exit code, and what it is about. */
import { CommanderError } from "commander";
import type { ErrorFields } from "../documents/error-document.ts";
import { EngineError, EXIT, FileError, FormatError, GateError, InfeasibleError, PrismError } from "../errors.ts";
import { present } from "../present.ts";

/** What is known of anything that was thrown. */
export function errorFields(error: unknown): ErrorFields {
  if (error instanceof CommanderError) {
    return { code: "usage", message: usageMessage(error), exitCode: EXIT.usage };
  }
  if (error instanceof PrismError) {
    const { code, message, exitCode } = error;
    return { code, message, exitCode, ...detailsOf(error) };
  }
  if (isSystemError(error)) {
    const { message, path } = error;
    return { code: "system", message, exitCode: EXIT.failure, ...present({ path }) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "bug", message, exitCode: EXIT.failure };
}

function detailsOf(error: PrismError): Partial<ErrorFields> {
  const listed = <Item>(items: readonly Item[]) => (items.length === 0 ? undefined : [...items]);
  if (error instanceof FormatError || error instanceof FileError) {
    const { path, finding } = error;
    return present({ path, finding });
  }
  if (error instanceof InfeasibleError) return present({ possible: error.possible });
  if (error instanceof GateError) return present({ gates: listed(error.gates), findings: listed(error.findings) });
  if (error instanceof EngineError) return present({ logTail: listed(error.logTail) });
  return {};
}

/** commander's words; where it showed the help in the place of an error, what that is for. */
function usageMessage({ code, message }: CommanderError): string {
  return code === "commander.help" ? "expected a command; --help lists them" : message.replace(/^error: /, "");
}

/** The operating system's refusals (a disk full in the middle of a read) are no bugs. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}
