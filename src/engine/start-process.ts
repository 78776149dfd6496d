/** Starts the engine's child process, and says whether it keeps the program alive. */
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { availableParallelism } from "node:os";
import { entryPoint } from "../entry.ts";
import { EngineError } from "../errors.ts";

/** Throws EngineError where the system starts no process. */
export function startProcess(): ChildProcess {
  try {
    const child = fork(entryPoint("./child/main", import.meta.url), [], {
      // Not the parent's flags: a debugger's port or a loader is not meant for this process.
      execArgv: [],
      // After a failed assert ggml would start a debugger to print the stack.
      // A call of a native function may have a thread for each processor.
      env: { UV_THREADPOOL_SIZE: String(Math.max(4, availableParallelism())), ...process.env, GGML_NO_BACKTRACE: "1" },
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    // What it says is heard by its end, or by who sends to it; unheard it would end this process.
    child.on("error", () => undefined);
    if (child.pid !== undefined) return child;
    throw new Error("EAGAIN, EMFILE or ENFILE");
  } catch (error) {
    const { message } = error as Error;
    throw new EngineError(
      `the engine's process can't be started (${message}): no memory, too many processes or too many open files; free some, or raise the limits (ulimit -u, ulimit -n), and give the command again`,
      { ended: message, cause: error },
    );
  }
}

/** Keep the program alive until the child is released or ends. */
export function hold(child: ChildProcess): void {
  child.ref();
  child.channel?.ref();
  (child.stderr as Socket | null)?.ref();
}

export function release(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
  (child.stderr as Socket | null)?.unref();
}
