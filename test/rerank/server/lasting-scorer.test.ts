import { describe, expect, it } from "vitest";
import { EngineError, UsageError } from "../../../src/errors.ts";
import type { RerankScorer } from "../../../src/rerank/rerank-scorer.ts";
import { openLastingScorer } from "../../../src/rerank/server/lasting-scorer.ts";

const request = { query: "q", documents: ["d"] };

/** Scorers that throw `error`, and how many of them are open. */
async function failingWith(error: Error) {
  const count = { opened: 0, open: 0 };
  const scorer = await openLastingScorer(async () => {
    count.opened++;
    count.open++;
    return {
      scoredBy: "embedded",
      score: () => Promise.reject(error),
      close: async () => {
        count.open--;
      },
    } as unknown as RerankScorer;
  });
  return { scorer, count };
}

describe("a lasting scorer", () => {
  it("closes a model whose engine failed before it opens another: no request leaves one behind", async () => {
    const { scorer, count } = await failingWith(new EngineError("no room for the context"));
    for (let requests = 1; requests <= 3; requests++) {
      await expect(scorer.score(request)).rejects.toThrow("no room for the context");
      expect(count).toEqual({ opened: requests, open: 0 });
    }
  });

  it("keeps the model after a request that was wrong itself", async () => {
    const { scorer, count } = await failingWith(new UsageError("the query is too long"));
    await expect(scorer.score(request)).rejects.toThrow("too long");
    await expect(scorer.score(request)).rejects.toThrow("too long");
    expect(count).toEqual({ opened: 1, open: 1 });
    await scorer.close();
    expect(count.open).toBe(0);
  });
});
