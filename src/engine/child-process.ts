/**
 * The parent's end of the engine's child process: requests and replies, the tail of its log, and what a crash becomes.
 * A child that dies (an assert in ggml, the out-of-memory killer) rejects what was pending with an EngineError that
 * carries the last log lines, or with the FileError of a file it read that was changed under it; the next request starts
 * a fresh child.
 */
import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { EngineError } from "../errors.ts";
import type { Reply, Request } from "./child/main.ts";
import { changeOf, type FilesRead } from "./files-read.ts";
import { KOFFI_LOADED, LOG_END } from "./log-end.ts";
import type { EnginePackage } from "./package.ts";
import { damageOf, koffiFault } from "./package-damage.ts";
import { describeEnd, wasEndedFromOutside } from "./process-end.ts";
import { hold, release, startProcess } from "./start-process.ts";

/** Log lines kept for an error message. */
export const LOG_TAIL_LINES = 12;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: number) => void) | undefined;
  /** What a person should know of it, in words. */
  readonly onNote?: ((text: string) => void) | undefined;
  /** Every line the library logs during the call, as the child answers it. */
  readonly onLog?: (line: string) => void;
  /** The files that the call reads, as they were when that began. */
  readonly reads?: FilesRead;
  /** The process that the call is about: what is loaded in one is not in the next. */
  readonly generation?: number;
}

interface Pending {
  readonly method: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly options: CallOptions;
  /** The reply and the end of the log come by different pipes, in either order; both settle the call. */
  reply?: Reply;
  logEnded?: boolean;
  /** The last lines logged for this call. */
  logTail?: string[];
}

export class EngineChild {
  readonly #found: EnginePackage;
  /** In the order sent, which is the order the child answers in. */
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcess | undefined;
  /** Settles when the child has ended and what was pending is rejected. */
  #gone: Promise<void> = Promise.resolve();
  #stopping = false;
  #closed = false;
  #opened: Promise<unknown> | undefined;
  #nextId = 1;
  #logTail: string[] = [];
  #koffiLoaded = false;
  #lastEnd: EngineError | undefined;
  /** Counts the processes that ended: loaded models die with theirs. */
  generation = 0;

  constructor(found: EnginePackage) {
    this.#found = found;
  }

  /**
   * Call a method of child/main.ts. Abort kills the child: its calls block and can't be asked to stop.
   * Throws EngineError where the method fails or the process ends, FileError where that is for a file that was changed
   * while it was read, the reason of `signal` on abort.
   */
  async call<Result>(method: Request["method"], args: unknown, options: CallOptions = {}): Promise<Result> {
    this.#throwIfEnded(options);
    await this.#open();
    this.#throwIfEnded(options);
    return (await this.#send(method, args, options)) as Result;
  }

  /** End the process for good. Pending calls are rejected, and so is every later one. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#stop();
  }

  /** End the process; the next call starts another. */
  async #stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#stopping = true;
    // An idle child doesn't keep the program alive, so the program would end before it hears that the child did.
    hold(child);
    child.kill("SIGKILL");
    await this.#gone;
  }

  #throwIfEnded({ signal, generation = this.generation }: CallOptions): void {
    signal?.throwIfAborted();
    if (this.#closed) throw new EngineError("the engine was closed");
    if (generation === this.generation) return;
    const { message: why, ended = "stopped" } = this.#lastEnd as EngineError;
    throw new EngineError(`this model is no longer loaded: ${why}`, { ended });
  }

  async #open(): Promise<void> {
    if (this.#stopping) await this.#gone;
    if (this.#child === undefined) {
      this.#start();
      this.#opened = this.#send("open", this.#found, {});
    }
    await this.#opened;
  }

  #start(): void {
    const child = startProcess();
    this.#child = child;
    this.#stopping = false;
    this.#logTail = [];
    this.#koffiLoaded = false;
    const lines = createInterface({ input: child.stderr as Socket });
    lines.on("line", (line) => this.#log(line));
    const drained = new Promise((resolve) => lines.once("close", resolve));
    child.on("message", (reply: Reply) => this.#receive(reply));
    this.#gone = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        void drained.then(() => {
          this.#ended(signal ?? `exit code ${code}`);
          resolve();
        });
      });
    });
    // An idle engine must not keep the program alive; a pending call does.
    release(child);
  }

  #send(method: Request["method"], args: unknown, options: CallOptions): Promise<unknown> {
    const child = this.#child as ChildProcess;
    const id = this.#nextId++;
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const abort = () => void this.#stop();
      const settle = () => {
        signal?.removeEventListener("abort", abort);
        this.#pending.delete(id);
        if (this.#pending.size === 0 && !this.#stopping) release(child);
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
          reject(signal?.aborted ? signal.reason : error);
        },
      });
      signal?.addEventListener("abort", abort, { once: true });
      hold(child);
      child.send({ id, method, args } as Request, (error) => {
        // A child that has just died says why in a moment, when its log has arrived.
        if (error !== null && this.#child !== child) {
          const gone = new EngineError(`the engine's process is gone: ${error.message}`, { ended: error.message });
          this.#pending.get(id)?.reject(gone);
        }
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
    if ("note" in reply) {
      pending.options.onNote?.(reply.note);
      return;
    }
    pending.reply = reply;
    this.#settle(pending);
  }

  #log(line: string): void {
    if (line === KOFFI_LOADED) {
      this.#koffiLoaded = true;
      return;
    }
    if (line.startsWith(LOG_END)) {
      const pending = this.#pending.get(Number(line.slice(LOG_END.length)));
      if (pending === undefined) return;
      pending.logEnded = true;
      pending.logTail = this.#logTail;
      this.#logTail = [];
      this.#settle(pending);
      return;
    }
    this.#answering()?.options.onLog?.(line);
    if (line.trim() === "") return;
    this.#logTail.push(line);
    if (this.#logTail.length > LOG_TAIL_LINES) this.#logTail.shift();
  }

  /** The call the child is at: the first whose log has not ended. */
  #answering(): Pending | undefined {
    for (const pending of this.#pending.values()) if (!pending.logEnded) return pending;
    return undefined;
  }

  #settle({ reply, logEnded, logTail, resolve, reject, options: { reads = [] } }: Pending): void {
    if (reply === undefined || !logEnded) return;
    if ("error" in reply) {
      const error = new EngineError(reply.error, { logTail: logTail ?? [] });
      reject(changeOf(reads, false, error) ?? error);
    } else if ("result" in reply) resolve(reply.result);
  }

  #ended(how: string): void {
    const method = this.#answering()?.method;
    const doing = method === undefined ? "while it was idle" : `during ${method}`;
    const crashed = !this.#stopping && !wasEndedFromOutside(how, this.#logTail);
    const damage = crashed ? this.#damage(how) : undefined;
    const error = this.#stopping
      ? new EngineError(`the engine was stopped ${doing}`, { ended: "stopped" })
      : new EngineError(`the engine's process ended ${doing} ${describeEnd(how, damage)}`, {
          logTail: damage === undefined ? this.#logTail : [],
          ended: how,
          missing: damage !== undefined,
        });
    this.generation++;
    this.#lastEnd = error;
    this.#child = undefined;
    this.#opened = undefined;
    this.#stopping = false;
    for (const { options, reject } of [...this.#pending.values()]) {
      reject((crashed ? changeOf(options.reads ?? [], true, error) : undefined) ?? error);
    }
  }

  /** Which of the files that the process loaded explains its crash. */
  #damage(how: string): string | undefined {
    return damageOf(this.#found) ?? (this.#koffiLoaded ? undefined : koffiFault(how, this.#logTail));
  }
}
