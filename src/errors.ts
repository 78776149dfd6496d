/**
 * The errors PRISM throws on purpose. Each has a `code` for programs and the exit code of the command line.
 * A message says what, expected, got, and what to do.
 */

/** How the command line ends (docs/exit-codes.md). 6: in order, before everything was done. 75: EX_TEMPFAIL of sysexits.h. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  gate: 3,
  missing: 4,
  infeasible: 5,
  stopped: 6,
  incomplete: 7,
  again: 75,
  interrupted: 130,
} as const;

/**
 * Every `code` of an error, with its exit code. `bug` is what nobody threw on purpose, `system` what the operating system
 * refused; `body` and `busy` answer requests to a server, and end no command.
 */
export const ERROR_CODES = {
  usage: EXIT.usage,
  format: EXIT.failure,
  file: EXIT.failure,
  engine: EXIT.failure,
  verification: EXIT.failure,
  "ambiguous-pattern": EXIT.failure,
  body: EXIT.failure,
  busy: EXIT.failure,
  system: EXIT.failure,
  bug: EXIT.failure,
  gate: EXIT.gate,
  "engine-missing": EXIT.missing,
  backend: EXIT.missing,
  infeasible: EXIT.infeasible,
  stopped: EXIT.stopped,
  incomplete: EXIT.incomplete,
  again: EXIT.again,
  interrupted: EXIT.interrupted,
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;

export class PrismError extends Error {
  readonly code: ErrorCode;
  readonly exitCode: number;

  constructor(code: ErrorCode, exitCode: number, message: string, options?: ErrorOptions) {
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

/** A gate, and what it was held against. */
export interface HeldGate {
  readonly gate: string;
  readonly value?: number;
  readonly verdictCode?: string;
  readonly met: boolean;
  readonly of?: readonly Omit<HeldGate, "of">[];
}

/** A quality gate given with --require was missed, or --strict found something in a model. */
export class GateError extends PrismError {
  /** The gates that were missed. */
  readonly gates: readonly HeldGate[];
  /** Codes of the findings (preflight/finding-codes.ts) that --strict does not allow. */
  readonly findings: readonly string[];

  constructor(
    message: string,
    { gates = [], findings = [] }: { gates?: readonly HeldGate[]; findings?: readonly string[] } = {},
  ) {
    super("gate", EXIT.gate, message);
    this.gates = gates;
    this.findings = findings;
  }
}

/** The time that a run was given is over. */
export class StoppedError extends PrismError {
  constructor(message: string) {
    super("stopped", EXIT.stopped, message);
  }
}

/** Parts of a campaign are missing: they are made by `prism shard run`. */
export class IncompleteError extends PrismError {
  constructor(message: string) {
    super("incomplete", EXIT.incomplete, message);
  }
}

/** This machine can't go on now, through no fault of the work: the same command may do it later, or elsewhere. */
export class AgainError extends PrismError {
  constructor(message: string, options?: ErrorOptions) {
    super("again", EXIT.again, message, options);
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
