import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { EngineError, FileError, UsageError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { openRerankScorer, type RerankRequest, type RerankScorer } from "../../src/rerank/rerank-scorer.ts";
import { describeReranker } from "../../src/rerank/reranker.ts";
import { openLastingScorer } from "../../src/server/lasting-scorer.ts";
import { testBench } from "../bench.ts";
import { killEngines } from "../engine/engine-processes.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

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

  it("scores a request again whose model another request's failure closed while it waited for its turn", async () => {
    const scores = [{ score: 0.5, truncated: false }];
    let opened = 0;
    let closed = 0;
    const scorer = await openLastingScorer(async () => {
      const own = ++opened;
      return {
        scoredBy: "embedded",
        async score({ query, pause }: RerankRequest) {
          if (query === "fails") throw new EngineError("no room for the context");
          await pause?.();
          if (own <= closed) throw new EngineError("no such model");
          return scores;
        },
        close: async () => void closed++,
      } as unknown as RerankScorer;
    });
    let resume: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => {
      resume = resolve;
    });
    const paused = scorer.score({ ...request, pause: () => turn });
    await expect(scorer.score({ ...request, query: "fails" })).rejects.toThrow("no room");
    expect(await scorer.score(request)).toBe(scores);
    resume();
    expect(await paused).toBe(scores);
    expect([opened, closed]).toEqual([2, 1]);
  });

  it("keeps the model after a request that was wrong itself", async () => {
    const { scorer, count } = await failingWith(new UsageError("the query is too long"));
    await expect(scorer.score(request)).rejects.toThrow("too long");
    await expect(scorer.score(request)).rejects.toThrow("too long");
    expect(count).toEqual({ opened: 1, open: 1 });
    await scorer.close();
    expect(count.open).toBe(0);
  });

  it("asks twice where the process ended, and no third time", async () => {
    const { scorer, count } = await failingWith(new EngineError("it ended", { ended: "SIGABRT" }));
    for (let requests = 1; requests <= 2; requests++) {
      await expect(scorer.score(request)).rejects.toThrow("it ended");
      expect(count).toEqual({ opened: 2 * requests, open: 0 });
    }
  });

  it("opens the model anew after it was changed under the engine, which is said and not tried again", async () => {
    const { scorer, count } = await failingWith(
      new FileError("m.gguf", "shrank", { cause: new EngineError("it ended", { ended: "SIGBUS" }) }),
    );
    await expect(scorer.score(request)).rejects.toThrow("m.gguf: shrank");
    expect(count).toEqual({ opened: 1, open: 0 });
  });

  it.skipIf(process.platform === "win32")("answers the first request after its engine was killed", async () => {
    const dir = await mkdtemp(join(tmpdir(), "prism-lasting-"));
    const path = await writeRunnable("reranker", dir);
    const engine = await openEmbeddedEngine({ threads: 1 });
    const file = await openModel(path);
    await file.close();
    const scorer = await openLastingScorer(() => openRerankScorer(describeReranker(file.model), {}, testBench(engine)));
    const scores = await scorer.score(request);
    killEngines();
    expect(await scorer.score(request)).toEqual(scores);
    await scorer.close();
    await engine.close();
    await rm(dir, { recursive: true });
  });
});
