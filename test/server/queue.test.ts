import { describe, expect, it } from "vitest";
import type { Turn } from "../../src/server/endpoint.ts";
import { BusyError, Queue } from "../../src/server/queue.ts";

/** Turns of no length: whoever pauses passes on. */
const inTurns = (limit = 100) => new Queue(limit, 0);
const comer = (client = "a", gone = new AbortController().signal) => ({ client, gone });
const tick = () => new Promise((resolve) => setImmediate(resolve));

/** Work of so many pieces, which notes each. */
const pieces =
  (name: string, count: number, done: string[]) =>
  async ({ pause }: Turn): Promise<object> => {
    for (let piece = 0; piece < count; piece++) {
      done.push(name);
      await tick();
      await pause();
    }
    return { name };
  };

describe("the queue", () => {
  it("lets short work through between the pieces of long work", async () => {
    const queue = inTurns();
    const done: string[] = [];
    const all = [queue.run(pieces("long", 6, done), comer()), queue.run(pieces("short", 1, done), comer())];
    expect(await Promise.all(all)).toEqual([{ name: "long" }, { name: "short" }]);
    expect(done).toEqual(["long", "short", ...new Array(5).fill("long")]);
  });

  it("never does two pieces at a time, whoever comes and leaves", async () => {
    const queue = inTurns();
    let running = 0;
    let most = 0;
    const work = async ({ pause }: Turn) => {
      for (let piece = 0; piece < 5; piece++) {
        most = Math.max(most, ++running);
        await tick();
        running--;
        await pause();
      }
      return {};
    };
    const leaving = new AbortController();
    const all = Array.from({ length: 20 }, (_, index) =>
      queue.run(work, comer(`${index % 3}`, index % 4 === 0 ? leaving.signal : undefined)),
    );
    setTimeout(() => leaving.abort(), 2);
    const outcomes = await Promise.allSettled(all);
    expect(most).toBe(1);
    expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBeGreaterThanOrEqual(15);
    expect(await queue.run(pieces("after", 1, []), comer())).toEqual({ name: "after" });
    expect(queue.waiting).toBe(0);
  });

  it("serves a client that comes after many requests of another before most of them", async () => {
    const queue = inTurns();
    const done: string[] = [];
    const all = Array.from({ length: 10 }, (_, index) => queue.run(pieces(`a${index}`, 1, done), comer("a")));
    all.push(queue.run(pieces("b", 1, done), comer("b")));
    await Promise.all(all);
    expect(done.slice(0, 3)).toEqual(["a0", "b", "a1"]);
  });

  it("begins only a few pieces of work at a time, since each holds its prompts", async () => {
    const queue = inTurns();
    const done: string[] = [];
    await Promise.all(Array.from({ length: 8 }, (_, index) => queue.run(pieces(`${index}`, 3, done), comer())));
    const firstEnd = done.indexOf("0", done.indexOf("0", 1) + 1);
    expect(new Set(done.slice(0, firstEnd)).size).toBe(4);
    expect(done).toHaveLength(24);
  });

  it("gives the place of who leaves while it waits for its next turn", async () => {
    const queue = inTurns(1);
    const leaving = new AbortController();
    const done: string[] = [];
    const left = queue.run(pieces("left", 100, done), comer("a", leaving.signal));
    const other = queue.run(pieces("other", 20, done), comer("b"));
    await tick();
    await tick();
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    expect(await other).toEqual({ name: "other" });
    expect(done.filter((name) => name === "left").length).toBeLessThan(5);
  });

  it("finishes what is begun when it closes, and refuses what is not", async () => {
    const queue = inTurns(2);
    const done: string[] = [];
    const begun = [queue.run(pieces("0", 3, done), comer()), queue.run(pieces("1", 3, done), comer())];
    await tick();
    await tick();
    const waiting = queue.run(async ({ pause }) => {
      await pause();
      return {};
    }, comer("c"));
    const refused = expect(waiting).rejects.toThrow(BusyError);
    queue.close();
    await refused;
    expect(await Promise.all(begun)).toEqual([{ name: "0" }, { name: "1" }]);
    await expect(queue.run(pieces("late", 1, done), comer())).rejects.toThrow(/stopping/);
  });

  it("passes on after work that failed", async () => {
    const queue = inTurns();
    const failing = queue.run(() => Promise.reject(new Error("broken")), comer());
    const next = queue.run(pieces("next", 1, []), comer());
    await expect(failing).rejects.toThrow("broken");
    expect(await next).toEqual({ name: "next" });
  });
});
