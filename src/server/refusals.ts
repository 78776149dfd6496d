/** Answers that refuse, in the shape of llama-server's and OpenAI's, with the reason also where Cohere's clients look. */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { UsageError } from "../errors.ts";
import type { NodeBindings } from "../local-server.ts";
import { BodyError } from "../request-body.ts";
import { BusyError } from "./queue.ts";

export type App = { Bindings: NodeBindings };

/** A client that went away gets no answer; this is what nginx logs for it. */
const CLIENT_GONE = 499;
const GONE = ["client_gone_error", "the client hung up"] as const;

export function refuse(context: Context<App>, code: number, type: string, message: string): Response {
  return context.json({ error: { code, type, message }, message }, code as ContentfulStatusCode);
}

export function refuseError(context: Context<App>, error: Error): Response {
  if (context.env.incoming.destroyed && !context.env.incoming.complete) return refuse(context, CLIENT_GONE, ...GONE);
  if (error instanceof BodyError) {
    const busy = error.status === 429;
    if (busy) context.header("Retry-After", "1");
    return refuse(context, error.status, busy ? "busy_error" : "invalid_request_error", error.message);
  }
  if (error instanceof UsageError) return refuse(context, 400, "invalid_request_error", error.message);
  if (error instanceof BusyError) {
    context.header("Retry-After", String(error.retrySeconds));
    const [status, type] = error.closing ? ([503, "unavailable_error"] as const) : ([429, "busy_error"] as const);
    return refuse(context, status, type, error.message);
  }
  if (error.name === "AbortError") return refuse(context, CLIENT_GONE, ...GONE);
  return refuse(context, 500, "server_error", error.message);
}
