/** What the server says of itself to GET requests: health, models as OpenAI lists them, and TEI's /info. */
import type { Hono } from "hono";
import { PRISM_VERSION } from "../version.ts";
import { type App, refuse } from "./refusals.ts";

/** Asked by what watches servers, without a key. */
export const HEALTH_PATHS: readonly string[] = ["/health", "/v1/health"];

export interface ServerFacts {
  readonly modelName: string;
  /** In TEI's words. */
  readonly modelType: object;
  /** Requests taken at a time, those that wait included. */
  readonly mostRequests: number;
  readonly maxDocuments: number;
  /** Longest prompt in tokens; absent where it is not known. */
  readonly contextTokens?: number | undefined;
  waiting(): number;
}

export function addAboutRoutes(app: Hono<App>, facts: ServerFacts): void {
  const model = { id: facts.modelName, object: "model", created: 0, owned_by: "prism" };
  for (const path of HEALTH_PATHS) app.get(path, (context) => context.json({ status: "ok", waiting: facts.waiting() }));
  for (const path of ["/v1/models", "/models"]) {
    app.get(path, (context) => context.json({ object: "list", data: [model] }));
    // names of models have slashes
    app.get(`${path}/:name{.+}`, (context) => {
      const name = context.req.param("name");
      if (name === facts.modelName) return context.json(model);
      return refuse(context, 404, "not_found_error", `no such model; this server has ${facts.modelName}`);
    });
  }
  app.get("/info", (context) =>
    context.json({
      model_id: facts.modelName,
      model_type: facts.modelType,
      max_concurrent_requests: facts.mostRequests,
      max_input_length: facts.contextTokens,
      max_client_batch_size: facts.maxDocuments,
      auto_truncate: true,
      version: PRISM_VERSION,
    }),
  );
}
