/**
 * A fixed number of worker threads, one call at a time on each, further calls queued in order. Workers start when they
 * are first needed and keep the process alive only while they compute.
 */
import { Worker } from "node:worker_threads";
import { BackendError } from "../../errors.ts";
import type { Matrix, ProcessorOptions } from "../backend.ts";
import type { OperationName, Operations, Reply, Request } from "./operations.ts";

export interface WorkerPoolOptions extends Required<ProcessorOptions> {
  /** The worker's entry: worker.js beside this file in a build. */
  readonly entry: URL;
}

interface Call {
  readonly request: Request;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #idle: Worker[] = [];
  readonly #queue: Call[] = [];
  readonly #running = new Map<Worker, Call>();
  #closed = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  get threads(): number {
    return this.#options.threads;
  }

  /** Run an operation on a worker. The matrix is copied when its turn comes; a SharedArrayBuffer is passed as it is. */
  run<Name extends OperationName>(
    operation: Name,
    ...values: Parameters<Operations[Name]>
  ): Promise<ReturnType<Operations[Name]>> {
    if (this.#closed) return Promise.reject(new BackendError(`reference backend: ${operation} was called after close`));
    return new Promise((resolve, reject) => {
      this.#queue.push({ request: { operation, arguments: values }, resolve, reject });
      this.#dispatch();
    });
  }

  /** End the workers; calls that have not finished reject. */
  async close(): Promise<void> {
    this.#closed = true;
    const workers = [...this.#idle, ...this.#running.keys()];
    this.#idle.length = 0;
    for (const { request, reject } of this.#queue.splice(0)) {
      reject(new BackendError(`reference backend: closed before ${request.operation} ran`));
    }
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#idle.pop() ?? (this.#running.size < this.#options.threads ? this.#start() : undefined);
      if (worker === undefined) return;
      const call = this.#queue.shift() as Call;
      this.#running.set(worker, call);
      worker.ref();
      const { operation, arguments: values } = call.request;
      const [matrix, ...rest] = values;
      const copied = detachable(matrix);
      const buffers = copied.data.buffer instanceof ArrayBuffer ? [copied.data.buffer] : [];
      worker.postMessage({ operation, arguments: [copied, ...rest] } satisfies Request, buffers);
    }
  }

  #start(): Worker {
    const worker = new Worker(this.#options.entry);
    worker.on("message", (reply: Reply) => this.#settle(worker, reply));
    worker.on("error", (error: Error) => this.#lose(worker, error.message));
    worker.on("exit", (code) => this.#lose(worker, `it ended with code ${code}`));
    return worker;
  }

  #settle(worker: Worker, reply: Reply): void {
    const call = this.#running.get(worker);
    this.#running.delete(worker);
    worker.unref();
    this.#idle.push(worker);
    if ("result" in reply) call?.resolve(reply.result as never);
    else call?.reject(new BackendError(reply.error));
    this.#dispatch();
  }

  /** A worker died: its call fails, the next ones get a new worker. */
  #lose(worker: Worker, cause: string): void {
    const call = this.#running.get(worker);
    this.#running.delete(worker);
    const idleAt = this.#idle.indexOf(worker);
    if (idleAt >= 0) this.#idle.splice(idleAt, 1);
    call?.reject(
      new BackendError(
        `reference backend: the worker thread died during ${call.request.operation}: ${cause}; fewer threads need less memory`,
      ),
    );
    this.#dispatch();
  }
}

/** A copy of exactly these weights that can be transferred, or they themselves where their memory is shared. */
function detachable({ data, rows, columns }: Matrix): Matrix {
  return { data: data.buffer instanceof SharedArrayBuffer ? data : data.slice(), rows, columns };
}
