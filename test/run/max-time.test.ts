import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { StoppedError, UsageError } from "../../src/errors.ts";
import { stoppedInWords } from "../../src/report/stopped-words.ts";
import { renderRun } from "../../src/report/terminal/evaluation-table.ts";
import { type Deadline, deadlineAfter, paceWithin } from "../../src/run/deadline.ts";
import type { Run } from "../../src/run/run-document.ts";
import type { RunRequest } from "../../src/run/run-request.ts";
import { parseRun } from "../../src/run/run-state.ts";
import { type PaperEngine, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(20, { refine: "none", chunks: 24 });

/** A time that is over when the test says so. */
function deadlineByHand() {
  const over = new AbortController();
  let left = Number.POSITIVE_INFINITY;
  const deadline: Deadline = { text: "2h", signal: over.signal, leftMs: () => (over.signal.aborted ? 0 : left) };
  return {
    deadline,
    end: () => over.abort(new StoppedError("over")),
    leave: (ms: number) => {
      left = ms;
    },
  };
}

/** An engine in which the time is over at the first call like this; from then on every call throws the signal's reason. */
function endingAt(pattern: RegExp): { engine: PaperEngine; deadline: Deadline } {
  const { deadline, end } = deadlineByHand();
  const engine = paperEngine((call) => {
    if (pattern.test(call)) end();
    deadline.signal.throwIfAborted();
  });
  return { engine, deadline };
}

const stopAt = (pattern: RegExp, more: Partial<RunRequest> = {}) => {
  const { engine, deadline } = endingAt(pattern);
  return place.runOn(engine, { deadline, ...more });
};
const models = async () => (await readdir(join(place.out, "models"))).sort();
const labels = ({ rows }: Run) => rows.map(({ label }) => label);
const figures = ({ rows }: Run) => rows.map(({ label, kld, verdictCode }) => [label, kld?.mean, verdictCode]);

describe("a run whose time is over", () => {
  it("ends with the plan's file and the verdict on what was judged, and says what is missing", async () => {
    const stopped = await stopAt(/^score uniform/);
    expect(stopped.finishedAt).toBeUndefined();
    expect(labels(stopped)).toHaveLength(4);
    expect(stopped.stopped).toMatchObject({ stage: "files", maxTime: "2h" });
    expect(stopped.stopped?.missing).toContain("shuffle 3");
    expect(stopped.stopped?.missing).not.toContain("plan");
    expect(stopped.verdict).toBeDefined();
    expect(stopped.outputs?.map(({ path }) => path)).toContain("models/plan.gguf");
    expect(await models()).toEqual(["plan.gguf"]);
    expect(parseRun(await readFile(join(place.out, "state.json"), "utf8"), place.out)).toEqual(stopped);
    expect(renderRun(stopped).replace(/\s+/g, " ")).toContain("shuffle 3; the same command with a longer time goes on");
  });

  it("goes on with a longer time to the end of a run that was never stopped, without repeating what was judged", async () => {
    const whole = await place.runOn(paperEngine());
    for (const moment of [/^roundTrip/, /^quantize plan/, /^score plan/, /^score preset/, /^quantize shuffle-2/]) {
      place.out = await place.newOut();
      await stopAt(moment);
      const engine = paperEngine();
      const finished = await place.runOn(engine);
      expect(figures(finished)).toEqual(figures(whole));
      expect(finished.finishedAt).toBeDefined();
      expect(finished.stopped).toBeUndefined();
      if (String(moment).includes("shuffle")) expect(engine.calls).not.toContain("quantize plan.gguf");
    }
  });

  it("has documents without rows where no file was judged, and no model that nobody judged but the plan's", async () => {
    const early = await stopAt(/^roundTrip/);
    expect(early.rows).toEqual([]);
    expect(early.stopped).toEqual({ stage: "analysis", maxTime: "2h", missing: [] });
    expect(await readdir(place.out)).toEqual(["state.json"]);
    expect(stoppedInWords(early)).toContain("no file of the plan was judged");
    expect(renderRun(early)).not.toContain("KLD");
  });

  it("begins no file that the time is too short for, as far as the shortest tells", async () => {
    const { deadline, leave } = deadlineByHand();
    const engine = paperEngine((call) => {
      if (call.startsWith("load preset")) leave(1e-9);
    });
    const stopped = await place.runOn(engine, { deadline });
    expect(labels(stopped)).toHaveLength(3);
    expect(engine.calls.filter((call) => call.startsWith("quantize preset"))).toHaveLength(1);
  });

  it("that was interrupted, or failed, is neither", async () => {
    const { deadline } = deadlineByHand();
    const interrupted = new AbortController();
    const engine = paperEngine((call) => {
      if (call.startsWith("score plan")) interrupted.abort(new Error("Ctrl-C"));
      interrupted.signal.throwIfAborted();
    });
    await expect(place.runOn(engine, { deadline }, { signal: interrupted.signal })).rejects.toThrow("Ctrl-C");
    const failing = paperEngine((call) => {
      if (call.startsWith("score plan")) throw new Error("broke");
    });
    await expect(place.runOn(failing, { deadline })).rejects.toThrow("broke");
  });

  it("throws that it was over where there is no run yet", async () => {
    const { deadline, end } = deadlineByHand();
    end();
    await expect(place.runOn(paperEngine(), { deadline })).rejects.toThrow(StoppedError);
  });
});

describe("a search whose time is over", () => {
  const target = { measure: "kld", limit: 1000 / 62_000 } as const;

  it("keeps time for the plan's own file, and goes on with the search later", async () => {
    const { deadline, leave } = deadlineByHand();
    let scored = 0;
    const engine = paperEngine((call) => {
      if (/^quantize point/.test(call) && ++scored === 2) leave(1e-9);
      if (/^quantize plan/.test(call)) leave(Number.POSITIVE_INFINITY);
    });
    const stopped = await place.runOn(engine, { deadline, target });
    expect(stopped.sweep?.points).toHaveLength(2);
    expect(stopped.stopped).toMatchObject({ stage: "sizes", cutShort: true });
    expect(stopped.rows.find(({ kind }) => kind === "plan")?.sha256).toBeDefined();
    expect(await models()).toEqual(["plan.gguf"]);
    const finished = await place.runOn(paperEngine(), { target });
    place.out = await place.newOut();
    const whole = await place.runOn(paperEngine(), { target });
    expect(finished.target).toEqual(whole.target);
    expect(new Map(figures(finished).map(([label, ...rest]) => [label, rest]))).toEqual(
      new Map(figures(whole).map(([label, ...rest]) => [label, rest])),
    );
  });

  it("keeps the files of a family that there was time for, and makes the others later", async () => {
    const sweep = [3, 4, 5].map((value) => ({ kind: "bpw", value }) as const);
    const { deadline, leave } = deadlineByHand();
    let made = 0;
    const engine = paperEngine((call) => {
      if (/^quantize plan-/.test(call) && ++made === 2) leave(1e-9);
      if (/^(load|quantize) uniform/.test(call)) leave(Number.POSITIVE_INFINITY);
    });
    const stopped = await place.runOn(engine, { deadline, sweep, family: true });
    expect(stopped.sweep?.points.map(({ path }) => path)).toHaveLength(2);
    expect(stopped.stopped).toMatchObject({ stage: "sizes", cutShort: true });
    expect(await models()).toContain("plan.gguf");
    const finished = await place.runOn(paperEngine(), { sweep, family: true });
    expect(finished.sweep?.points).toHaveLength(3);
    expect(finished.stopped).toBeUndefined();
  });
});

describe("--max-time", () => {
  afterEach(() => vi.useRealTimers());

  it("is over after so long, and not before", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
    const { signal, leftMs } = deadlineAfter(60_000, "1m");
    vi.advanceTimersByTime(59_000);
    expect([signal.aborted, leftMs()]).toEqual([false, 1000]);
    vi.advanceTimersByTime(2000);
    expect([signal.aborted, leftMs()]).toEqual([true, 0]);
    expect(signal.reason).toBeInstanceOf(StoppedError);
    expect(() => deadlineAfter(1e10, "9999h")).toThrow(UsageError);
  });

  it("is short for what takes longer than what is left", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    let left = 30;
    const pace = paceWithin({ leftMs: () => left });
    expect([pace.isShort(2), pace.isHopeless()]).toEqual([false, false]);
    for (const ms of [10, 20]) await pace.timed(async () => vi.advanceTimersByTime(ms));
    expect([pace.isShort(1), pace.isShort(2), pace.isHopeless()]).toEqual([false, true, false]);
    left = 9;
    expect(pace.isHopeless()).toBe(true);
    expect(paceWithin(undefined).isShort(1e9)).toBe(false);
  });
});
