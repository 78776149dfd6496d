/**
 * Ends this process when its parent is gone. The IPC channel tells an idle child; one that is inside a long call of the
 * library (a quantization, a large model's decode) would go on for hours, so a thread of its own looks every second.
 */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { entryPoint } from "../../entry.ts";

const LOOK_EVERY_MS = 1000;

let watching = false;

/** Start watching, once. */
export function watchParent(): void {
  if (watching) return;
  watching = true;
  const entry = entryPoint("./parent-watch", import.meta.url);
  new Worker(entry, { workerData: process.ppid, stdout: true, stderr: true }).unref();
}

/** Windows keeps the number of a parent that is gone; elsewhere another process adopts the orphan. */
function isGone(parent: number): boolean {
  if (process.ppid !== parent) return true;
  try {
    process.kill(parent, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

if (!isMainThread) {
  const parent = workerData as number;
  setInterval(() => {
    if (isGone(parent)) process.kill(process.pid, "SIGKILL");
  }, LOOK_EVERY_MS);
}
