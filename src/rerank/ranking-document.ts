/** The ranking in the text of an Evaluation document, checked: what a report shows of it. Documents may come from anyone. */
import { Ajv, type ValidateFunction } from "ajv";
import { FormatError } from "../errors.ts";
import { EVALUATION_SCHEMA, type RerankEvaluation } from "../evaluate/evaluation.ts";

export type Ranking = Pick<RerankEvaluation, "rerankSet"> & {
  readonly reference?: Pick<NonNullable<RerankEvaluation["reference"]>, "path" | "rerank">;
  readonly models: readonly Pick<RerankEvaluation["models"][number], "path" | "rerank">[];
};

const TEXT = { type: "string" } as const;
const NUMBER = { type: "number" } as const;
const listOf = (items: object) => ({ type: "array", items }) as const;
const objectOf = (properties: Record<string, object>, ...required: string[]) =>
  ({ type: "object", properties, required }) as const;

const RANKED = objectOf(
  {
    path: TEXT,
    rerank: objectOf(
      {
        scores: listOf(listOf(objectOf({ score: NUMBER }, "score"))),
        fidelity: objectOf({ perQuery: listOf(NUMBER) }, "perQuery"),
      },
      "scores",
    ),
  },
  "path",
  "rerank",
);

const RANKING_JSON_SCHEMA = objectOf(
  {
    schema: { const: EVALUATION_SCHEMA },
    rerankSet: objectOf(
      {
        path: TEXT,
        sha256: TEXT,
        queries: listOf(objectOf({ query: TEXT, documents: listOf(TEXT) }, "query", "documents")),
      },
      "sha256",
      "queries",
    ),
    reference: RANKED,
    models: listOf(RANKED),
  },
  "schema",
  "rerankSet",
  "models",
);

let compiled: ValidateFunction<Ranking> | undefined;

/** Read the ranking of an evaluation; undefined for one of a text alone. Throws FormatError for a damaged one. */
export function readRanking(text: string, path: string): Ranking | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new FormatError(path, `is not JSON (${(error as Error).message}); evaluate again`, { cause: error });
  }
  if (typeof document === "object" && document !== null && !("rerankSet" in document)) return undefined;
  compiled ??= new Ajv({ strict: true }).compile<Ranking>(RANKING_JSON_SCHEMA);
  const validate = compiled;
  if (validate(document)) return document;
  const [error] = validate.errors ?? [];
  throw new FormatError(
    path,
    `the ranking at ${error?.instancePath || "the top"} ${error?.message ?? "is damaged"}; evaluate again`,
  );
}
