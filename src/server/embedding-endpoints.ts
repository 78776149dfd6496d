/** The endpoints of a model that embeds: /v1/embeddings and its like, and TEI's /embed. */
import type { EmbeddedText, Embedder } from "../embed/embedder.ts";
import { UsageError } from "../errors.ts";
import { BodyError } from "../request-body.ts";
import { embeddingAnswer, parseEmbeddingBody } from "./embedding-protocol.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RankLimits } from "./rank-endpoints.ts";

export interface EmbeddingPrefixes {
  readonly queryPrefix?: string | undefined;
  readonly documentPrefix?: string | undefined;
}

/** Texts between two looks at who waits. */
const TEXTS_AT_ONCE = 8;

const PATHS = ["/v1/embeddings", "/embeddings", "/v1/embedding", "/embedding", "/embed"];

export function embeddingEndpoints(
  embedder: Pick<Embedder, "embed">,
  modelName: string,
  { queryPrefix = "", documentPrefix = "" }: EmbeddingPrefixes,
  { maxDocuments, mostUnits }: RankLimits,
): Endpoint[] {
  const prefixes = { query: queryPrefix, document: documentPrefix };
  return [
    {
      paths: PATHS,
      prepare(value) {
        const body = parseEmbeddingBody(value, maxDocuments);
        const prefix = body.kind === undefined ? "" : prefixes[body.kind];
        const texts = body.texts.map((text) => prefix + text);
        const units = texts.reduce((sum, { length }) => sum + length, 0);
        if (units > mostUnits) {
          throw new BodyError(413, `the texts have ${units} characters, at most ${mostUnits} are taken; send fewer`);
        }
        return async ({ gone, pause }) => {
          const embedded: EmbeddedText[] = [];
          while (embedded.length < texts.length) {
            const next = texts.slice(embedded.length, embedded.length + TEXTS_AT_ONCE);
            embedded.push(...(await embedder.embed(next, gone)));
            await pause();
          }
          const long = embedded.findIndex(({ truncated }) => truncated);
          if (body.refuseLonger && long >= 0) {
            throw new UsageError(`text ${long} is longer than the context; shorten it, or let it be truncated`);
          }
          return embeddingAnswer(body, embedded, modelName);
        };
      },
    },
  ];
}
