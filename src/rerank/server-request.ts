/** One request to a llama-server, and what its errors mean. */
import { EngineError, UsageError } from "../errors.ts";

/** Milliseconds that one answer may take: a long document on a slow machine. */
const TIMEOUT_MS = 10 * 60_000;
/** Characters of an unexpected answer that an error quotes. */
const QUOTED = 200;

/** POST JSON, or GET without a body. Throws UsageError for what the server refuses, EngineError for whatever else is not an answer of status 200 in JSON. */
export async function askServer(url: string, body: unknown, signal: AbortSignal): Promise<unknown> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(url, {
    ...(body === undefined
      ? {}
      : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    signal: AbortSignal.any([signal, timeout]),
  }).catch((error: Error) => {
    signal.throwIfAborted();
    const reason = error.cause instanceof Error ? error.cause.message : error.message;
    throw new EngineError(`${url} does not answer (${reason}); start llama-server, or check --server`, {
      missing: true,
      cause: error,
    });
  });
  const text = await response.text();
  // what was asked is at fault: a picture that can't be decoded, a prompt longer than the server's context
  if (response.status === 400) throw new UsageError(`llama-server refuses what it is to score: ${reasonOf(text)}`);
  if (!response.ok) throw new EngineError(`${url} answers ${response.status}: ${reasonOf(text)}`);
  try {
    return JSON.parse(text);
  } catch {
    throw new EngineError(
      `${url} answers with something that is not JSON (${text.slice(0, QUOTED)}); is it a llama-server?`,
    );
  }
}

function reasonOf(text: string): string {
  try {
    const message = field(field(JSON.parse(text), "error"), "message");
    if (typeof message === "string") return message;
  } catch {
    // not JSON: quoted as it is
  }
  return text.slice(0, QUOTED);
}

/** A field of what should be an object. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** A number of what should be an object; NaN where it is none. */
export function numberField(value: unknown, name: string): number {
  const found = field(value, name);
  return typeof found === "number" ? found : Number.NaN;
}
