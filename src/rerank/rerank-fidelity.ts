/** A reranker's scores against its reference's, and what is wrong with them by themselves. */

import type { DocumentScore, RerankFidelity, RerankFlag, RerankHead, RerankResult } from "../evaluate/rerank-result.ts";
import { meanSe } from "../evaluate/statistics.ts";
import { present } from "../present.ts";
import { kendallTau, ndcg, rankOrder } from "./rank-statistics.ts";
import type { RerankQuery } from "./rerank-set.ts";

type Scores = readonly (readonly DocumentScore[])[];

/** Scores closer together than this tell no documents apart (0.012 and 0.002 in the tables of broken conversions). */
const MUSHED_SPREAD = 0.02;
/** A model that keeps less than this share of its reference's spread has lost its judgement. */
const MUSHED_SHARE = 0.25;
/** A difference under this many standard errors is none. */
const DECIDED_STANDARD_ERRORS = 2;
/** Fewer queries have no standard error to speak of. */
const MIN_QUERIES = 3;

/** Compare scores of the same documents. */
export function compareScores(scores: Scores, reference: Scores): RerankFidelity {
  const deltas = scores.map((row, query) => values(row).map((score, i) => Math.abs(score - at(reference, query, i))));
  const perQuery = deltas.map((row) => meanSe(row).value);
  const orders = scores.map((row, query) => ({
    model: rankOrder(values(row)),
    reference: rankOrder(values(reference[query])),
  }));
  const taus = scores
    .map((row, query) => kendallTau(values(row), values(reference[query])))
    .filter((tau) => tau !== undefined);
  const agreeing = orders.filter((order) => order.model[0] === order.reference[0]).length;
  return {
    meanAbsDelta: meanSe(perQuery),
    maxAbsDelta: deltas.flat().reduce((largest, delta) => Math.max(largest, delta), 0),
    ...(taus.length === 0 ? {} : { kendallTau: meanSe(taus) }),
    top1Agreement: (100 * agreeing) / orders.length,
    moved: orders.reduce(
      (sum, order) => sum + order.model.filter((document, place) => order.reference[place] !== document).length,
      0,
    ),
    perQuery,
  };
}

/** The figures of a result that need no reference, and the flags that do where there is one. */
export function judgeScores(
  scores: Scores,
  queries: readonly Pick<RerankQuery, "relevance">[],
  head: RerankHead,
  reference?: Pick<RerankResult, "scores" | "spread">,
): Pick<RerankResult, "spread" | "ndcg10" | "fidelity" | "flags"> {
  const spread = meanSe(scores.map((row) => Math.max(...values(row)) - Math.min(...values(row)))).value;
  const graded = queries.flatMap(({ relevance }, query) => {
    return relevance === undefined ? [] : [{ scores: values(scores[query]), relevance }];
  });
  const gains = graded.map((row) => ndcg(row.scores, row.relevance)).filter((gain) => gain !== undefined);
  const fidelity = reference === undefined ? undefined : compareScores(scores, reference.scores);
  const towardsRelevance = graded
    .map((row) => kendallTau(row.scores, row.relevance))
    .filter((tau) => tau !== undefined);
  const flags = [
    ...rangeFlags(scores),
    ...spreadFlags(scores, spread, head, reference?.spread),
    ...orderFlags(fidelity, towardsRelevance),
  ];
  return {
    spread,
    ...present({ ndcg10: gains.length === 0 ? undefined : meanSe(gains), fidelity }),
    flags,
  };
}

function rangeFlags(scores: Scores): RerankFlag[] {
  const outside = scores.flat().find(({ score }) => score < 0 || score > 1);
  if (outside === undefined) return [];
  return [
    {
      code: "out-of-range",
      message: `a score is ${outside.score.toPrecision(4)}, outside 0 to 1`,
      remedy: "the server's llama.cpp takes no softmax over this head; use v0.5.0 or newer",
    },
  ];
}

/** Sigmoid of 0 and of 1: where scores end up that went through a sigmoid before. */
const TWICE = { low: 0.5, high: 0.7311 };

function spreadFlags(scores: Scores, spread: number, head: RerankHead, reference: number | undefined): RerankFlag[] {
  const all = scores.flat().map(({ score }) => score);
  if (head === "sigmoid" && all.length > 2 && all.every((score) => score >= TWICE.low && score <= TWICE.high)) {
    return [
      {
        code: "mushed",
        message: "all scores lie between 0.5 and 0.731, as if a sigmoid had been taken twice",
        remedy: "a server must report raw logits; score the file without --server to compare",
      },
    ];
  }
  if (reference !== undefined && reference >= MUSHED_SPREAD && spread < MUSHED_SHARE * reference) {
    return [
      {
        code: "mushed",
        message: `the scores of a query lie ${spread.toPrecision(2)} apart, the reference's ${reference.toPrecision(2)}`,
        remedy: "too few bits for this model; give it a larger budget, and keep cls.* at F16",
      },
    ];
  }
  if (spread >= MUSHED_SPREAD) return [];
  return [
    {
      code: "mushed",
      message: `the scores of a query lie ${spread.toPrecision(2)} apart: they tell no documents apart`,
      remedy: "look at its head, prompt and architecture with prism inspect; such a score ranks nothing",
    },
  ];
}

function orderFlags(fidelity: RerankFidelity | undefined, towardsRelevance: readonly number[]): RerankFlag[] {
  const isInverted = ({ value, se }: { value: number; se: number }) => value < -DECIDED_STANDARD_ERRORS * se;
  const decided = fidelity !== undefined && fidelity.perQuery.length >= MIN_QUERIES;
  if (decided && fidelity.kendallTau !== undefined && isInverted(fidelity.kendallTau)) {
    return [inverted(`the order is opposite to the reference's (τ ${fidelity.kendallTau.value.toFixed(2)})`)];
  }
  if (towardsRelevance.length < MIN_QUERIES) return [];
  const tau = meanSe(towardsRelevance);
  return isInverted(tau) ? [inverted(`relevant documents score lower than others (τ ${tau.value.toFixed(2)})`)] : [];
}

function inverted(message: string): RerankFlag {
  return {
    code: "inverted",
    message,
    remedy: `the rows of its head may be swapped: they must be "yes", then "no"; convert it again`,
  };
}

function values(row: readonly DocumentScore[] | undefined): number[] {
  return (row ?? []).map(({ score }) => score);
}

function at(scores: Scores, query: number, document: number): number {
  return scores[query]?.[document]?.score ?? Number.NaN;
}
