/**
 * The parent's end of the engine's child process: requests and replies, the tail of its log, and what a crash becomes.
 * A child that dies (an assert in ggml, the out-of-memory killer) rejects what was pending with an EngineError that
 * carries the last log lines; the next request starts a fresh child.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { entryPoint } from "../entry.ts";
import { EngineError, InterruptedError } from "../errors.ts";
import type { Reply, Request } from "./child/main.ts";
import { LOG_END } from "./log-end.ts";
import type { EnginePackage } from "./package.ts";

/** Log lines kept for an error message. */
const LOG_TAIL_LINES = 12;

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: number) => void;
  /** Every line the library logs during the call. */
  readonly onLog?: (line: string) => void;
}

interface Pending {
  readonly method: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly options: CallOptions;
  /** The reply and the end of the log come by different pipes, in either order; both settle the call. */
  reply?: Reply;
  logEnded?: boolean;
}

export class EngineChild {
  readonly #found: EnginePackage;
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcess | undefined;
  #opened: Promise<unknown> | undefined;
  #nextId = 1;
  #logTail: string[] = [];
  /** Counts the processes started: handles of loaded models die with theirs. */
  generation = 0;

  constructor(found: EnginePackage) {
    this.#found = found;
  }

  /** Call a method of child/main.ts. Abort kills the child: its calls block and can't be asked to stop. */
  async call<Result>(method: Request["method"], args: unknown, options: CallOptions = {}): Promise<Result> {
    if (options.signal?.aborted) throw new InterruptedError();
    await this.#open();
    return (await this.#send(method, args, options)) as Result;
  }

  /** End the process. Pending calls are rejected. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  async #open(): Promise<void> {
    if (this.#child === undefined) {
      this.#start();
      this.#opened = this.#send("open", this.#found, {});
    }
    await this.#opened;
  }

  #start(): void {
    const child = fork(entryPoint("./child/main", import.meta.url), [], {
      // Not the parent's flags: a debugger's port or a loader is not meant for this process.
      execArgv: [],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.generation++;
    this.#child = child;
    this.#logTail = [];
    const stderr = child.stderr;
    let drained: Promise<unknown> = Promise.resolve();
    if (stderr !== null) {
      const lines = createInterface({ input: stderr });
      lines.on("line", (line) => this.#log(line));
      drained = new Promise((resolve) => lines.once("close", resolve));
    }
    child.on("message", (reply: Reply) => this.#receive(reply));
    child.once("exit", (code, signal) => void drained.then(() => this.#ended(child, code, signal)));
    child.once("error", (error) =>
      this.#rejectAll(new EngineError(`the engine's process could not start: ${error.message}`)),
    );
    // An idle engine must not keep the program alive; a pending call does.
    idle(child);
  }

  #send(method: Request["method"], args: unknown, options: CallOptions): Promise<unknown> {
    const child = this.#child as ChildProcess;
    const id = this.#nextId++;
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const abort = () => void this.close();
      const settle = () => {
        signal?.removeEventListener("abort", abort);
        this.#pending.delete(id);
        if (this.#pending.size === 0) idle(child);
      };
      this.#pending.set(id, {
        method,
        options,
        resolve: (value) => {
          settle();
          resolve(value);
        },
        reject: (error) => {
          settle();
          reject(signal?.aborted ? new InterruptedError() : error);
        },
      });
      signal?.addEventListener("abort", abort, { once: true });
      child.ref();
      child.channel?.ref();
      child.send({ id, method, args: withId(args, id) } as Request, (error) => {
        if (error !== null)
          this.#pending.get(id)?.reject(new EngineError(`the engine's process is gone: ${error.message}`));
      });
    });
  }

  #receive(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    if ("progress" in reply) {
      pending.options.onProgress?.(reply.progress);
      return;
    }
    pending.reply = reply;
    this.#settle(pending);
  }

  #log(line: string): void {
    if (line.startsWith(LOG_END)) {
      const pending = this.#pending.get(Number(line.slice(LOG_END.length)));
      if (pending === undefined) return;
      pending.logEnded = true;
      this.#settle(pending);
      return;
    }
    for (const { options } of this.#pending.values()) options.onLog?.(line);
    if (line.trim() === "") return;
    this.#logTail.push(line);
    if (this.#logTail.length > LOG_TAIL_LINES) this.#logTail.shift();
  }

  #settle({ reply, logEnded, resolve, reject }: Pending): void {
    if (reply === undefined || !logEnded) return;
    if ("error" in reply) reject(new EngineError(reply.error, { logTail: this.#logTail }));
    else if ("result" in reply) resolve(reply.result);
  }

  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#child === child) {
      this.#child = undefined;
      this.#opened = undefined;
    }
    const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
    const method = this.#pending.values().next().value?.method ?? "idle";
    this.#rejectAll(
      new EngineError(`the engine's process ended (${how}) during ${method}`, { logTail: this.#logTail }),
    );
  }

  #rejectAll(error: Error): void {
    for (const pending of [...this.#pending.values()]) pending.reject(error);
  }
}

function idle(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
}

/** `sample` reports progress under the id of its request. */
function withId(args: unknown, id: number): unknown {
  return typeof args === "object" && args !== null && "sequences" in args ? { ...args, id } : args;
}
