/**
 * The errors PRISM throws on purpose. Each has a `code` for programs and the exit code of the command line.
 * A message says what, expected, got, and what to do.
 */

export const EXIT = { ok: 0, failure: 1, usage: 2, infeasible: 3, missing: 4, interrupted: 130 } as const;

export class PrismError extends Error {
  readonly code: string;
  readonly exitCode: number;

  constructor(code: string, exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** The command line or an argument of a library call is wrong. */
export class UsageError extends PrismError {
  constructor(message: string, options?: ErrorOptions) {
    super("usage", EXIT.usage, message, options);
  }
}

/** A file is not what it should be: damaged, hostile, of another kind or of another model. */
export class FormatError extends PrismError {
  readonly path: string;
  readonly offset: number | undefined;
  /** Its code among the findings (preflight/finding-codes.ts), where it has one of its own. */
  readonly finding: string | undefined;

  constructor(path: string, message: string, options: ErrorOptions & { offset?: number; finding?: string } = {}) {
    super("format", EXIT.failure, `${path}: ${message}`, options);
    this.path = path;
    this.offset = options.offset;
    this.finding = options.finding;
  }
}

/** Reading or writing a file failed (missing, no permission, no space left). */
export class FileError extends PrismError {
  readonly path: string;
  /** Its code among the findings, where it has one. */
  readonly finding: string | undefined;

  constructor(path: string, message: string, options: ErrorOptions & { finding?: string } = {}) {
    super("file", EXIT.failure, `${path}: ${message}`, options);
    this.path = path;
    this.finding = options.finding;
  }
}

/** No assignment fits the budget and the constraints; `possible` is what can be reached, in file bytes. */
export class InfeasibleError extends PrismError {
  readonly possible: { minBytes: number; maxBytes: number } | undefined;

  constructor(message: string, possible?: { minBytes: number; maxBytes: number }) {
    super("infeasible", EXIT.infeasible, message);
    this.possible = possible;
  }
}

/** A quality gate given with --require was missed. */
export class GateError extends PrismError {
  constructor(message: string) {
    super("gate", EXIT.infeasible, message);
  }
}

/** The engine (llama.cpp, embedded or as programs) failed; `logTail` holds its last lines. */
export class EngineError extends PrismError {
  readonly logTail: readonly string[];
  /** How its process ended, where it did: "SIGKILL", "exit code 3". What was loaded there is gone. */
  readonly ended: string | undefined;

  constructor(
    message: string,
    options: ErrorOptions & { logTail?: readonly string[]; missing?: boolean; ended?: string | undefined } = {},
  ) {
    const tail = options.logTail ?? [];
    super(
      options.missing ? "engine-missing" : "engine",
      options.missing ? EXIT.missing : EXIT.failure,
      tail.length > 0
        ? `${message}\nlast lines of the engine:\n${tail.map((line) => `  ${line}`).join("\n")}`
        : message,
      options,
    );
    this.logTail = tail;
    this.ended = options.ended;
  }
}

/** A kernels backend that was asked for by name can't be used. */
export class BackendError extends PrismError {
  constructor(message: string, options?: ErrorOptions) {
    super("backend", EXIT.missing, message, options);
  }
}
