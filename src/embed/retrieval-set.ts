/**
 * The texts that embeddings are judged on: a set of queries and documents as rerankers have (rerank-set.ts), whose
 * documents, each once, are what every query is to be found in.
 */
import { FormatError } from "../errors.ts";
import { isOfTexts } from "../rerank/rank-content.ts";
import { type RerankQuery, type RerankSet, readRerankSet } from "../rerank/rerank-set.ts";

export interface RetrievalQuery {
  readonly query: string;
  /** Of every document of the set, 0 for those of other queries. Absent where none was graded. */
  readonly relevance?: readonly number[];
}

export interface RetrievalSet {
  readonly source: RerankSet;
  readonly queries: readonly RetrievalQuery[];
  readonly documents: readonly string[];
}

/** Read a set, or that which comes with PRISM. Throws FileError, and FormatError that names the line. */
export async function readRetrievalSet(path?: string): Promise<RetrievalSet> {
  const source = await readRerankSet(path);
  const ofTexts = source.queries.filter(isOfTexts);
  if (ofTexts.length < source.queries.length) {
    throw new FormatError(`${path}`, "has images, and only texts are embedded here; leave them out");
  }
  return { source, ...joinDocuments(ofTexts) };
}

export function joinDocuments(queries: readonly RerankQuery[]): Pick<RetrievalSet, "queries" | "documents"> {
  const places = new Map<string, number>();
  for (const { documents } of queries) {
    for (const document of documents) if (!places.has(document)) places.set(document, places.size);
  }
  return {
    documents: [...places.keys()],
    queries: queries.map(({ query, documents, relevance }) => {
      if (relevance === undefined) return { query };
      const grades = new Array<number>(places.size).fill(0);
      documents.forEach((document, index) => {
        const place = places.get(document) as number;
        grades[place] = Math.max(grades[place] ?? 0, relevance[index] ?? 0);
      });
      return { query, relevance: grades };
    }),
  };
}
