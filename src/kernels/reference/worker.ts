/** Entry of a worker thread: one request in, one reply out, results transferred. */
import { parentPort } from "node:worker_threads";
import { type Reply, type Request, runOperation } from "./operations.ts";

parentPort?.on("message", (request: Request) => {
  let reply: Reply;
  try {
    reply = { result: runOperation(request) };
  } catch (error) {
    reply = { error: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(reply, buffersOf(reply));
});

/** The buffers of the typed arrays in a reply, one or two levels down. */
function buffersOf(reply: Reply): ArrayBuffer[] {
  if (!("result" in reply)) return [];
  const { result } = reply;
  const parts = ArrayBuffer.isView(result) ? [result] : typeof result === "object" ? Object.values(result ?? {}) : [];
  return parts.flatMap((part) => (ArrayBuffer.isView(part) && part.buffer instanceof ArrayBuffer ? [part.buffer] : []));
}
