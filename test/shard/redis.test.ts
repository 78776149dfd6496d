import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Campaign } from "../../src/shard/campaign-document.ts";
import { redisAddress } from "../../src/shard/engines/redis-address.ts";
import { PREFIX } from "../../src/shard/engines/redis-queue.ts";
import { engineName } from "../../src/shard/submission.ts";
import { MODEL, type Outcome, prism, type RunningPrism, scratchFolder, startPrism } from "../cli/prism.ts";
import { killOnExit } from "./kill-on-exit.ts";
import { noRedis, type RedisServer, startRedis } from "./redis-server.ts";
import { spoilTensor } from "./spoil-tensor.ts";
import { beginners, descendants, expectGone, expectOnePartEach, timeless } from "./workers.ts";

/** Slow enough to be killed amid the work. */
const SLOW = ["--backend", "reference"];

const folder = scratchFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const oneLine = (text: string) => text.replaceAll(/\s+/g, " ");
afterAll(folder.remove);

describe.skipIf(noRedis() !== undefined)(`Redis${noRedis() === undefined ? "" : ` (skipped: ${noRedis()})`}`, () => {
  let redis: RedisServer;
  /** All that any command has printed. */
  const printed: string[] = [];
  beforeAll(async () => {
    redis = await startRedis();
    await copyFile(MODEL, at("model.gguf"));
  });
  afterAll(() => redis?.stop());

  const environment = () => ({ PRISM_REDIS_PASSWORD: redis.password });
  const shard = async (...args: readonly string[]): Promise<Outcome> => {
    const outcome = await prism(["shard", ...args], folder.path, environment());
    printed.push(outcome.stdout, outcome.stderr);
    return outcome;
  };
  const succeed = (outcome: Outcome) => expect(outcome.code, outcome.stderr).toBe(0);
  const submit = (name: string) => shard("submit", name, "--redis", redis.bareUrl);

  function startWorker(name: string): RunningPrism {
    const words = ["shard", "work", name, "--redis", redis.bareUrl, "--threads", "1"];
    const started = startPrism(words, folder.path, environment());
    killOnExit(started.child);
    void started.outcome.then(({ stdout, stderr }) => printed.push(stdout, stderr));
    return started;
  }

  async function planned(name: string, ...options: readonly string[]): Promise<void> {
    succeed(await shard("plan", "model.gguf", "--dir", name, "--jobs", "8", "--quiet", ...options));
  }

  async function enginesOf(name: string): Promise<unknown> {
    return JSON.parse((await shard("status", name, "--redis", redis.bareUrl, "--json")).stdout).engines;
  }

  /** The queue of a campaign, for whoever has the password. */
  async function withQueueOf<Result>(
    name: string,
    work: (queue: Queue, client: Redis, campaign: Campaign) => Promise<Result>,
  ): Promise<Result> {
    const campaign = JSON.parse(await readFile(at(name, "campaign.json"), "utf8")) as Campaign;
    const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
    const queue = new Queue(engineName(campaign), { connection, prefix: PREFIX });
    try {
      return await work(queue, connection, campaign);
    } finally {
      await queue.close();
      connection.disconnect();
    }
  }

  test("4 workers, of which one is killed, and a Redis that is killed amid the work make one machine's analysis", async () => {
    succeed(await prism(["analyze", "model.gguf", "-o", "whole.json", "--exact", "--no-cache", ...SLOW], folder.path));
    await planned("c", "--exact", ...SLOW);
    succeed(await submit("c"));
    const workers = [1, 2, 3, 4].map(() => startWorker("c"));
    const isAtWork = ({ child }: RunningPrism) => {
      const begun = beginners(at("c"));
      return descendants(child.pid as number).some((pid) => begun.has(pid));
    };
    let victim: RunningPrism | undefined;
    while (victim === undefined) {
      await sleep(20);
      victim = workers.find(isAtWork);
    }
    const below = descendants(victim.child.pid as number);
    victim.child.kill("SIGKILL");
    // what it was doing ends with it
    await expectGone(below);
    while (!workers.some(isAtWork)) await sleep(20);
    await redis.restart();
    const codes = await Promise.all(workers.map(async ({ outcome }) => (await outcome).code));
    expect(codes.sort()).toEqual([0, 0, 0, null]);
    await expectOnePartEach(at("c"), ["json"]);
    succeed(await shard("merge", "c", "-o", "merged.json"));
    expect(timeless(await readFile(at("merged.json"), "utf8"))).toBe(
      timeless(await readFile(at("whole.json"), "utf8")),
    );
    expect((await submit("c")).stdout).toContain("nothing to submit");
  });

  test("jobs of others and hostile ones are refused, named and never run", async () => {
    await planned("hostile");
    await planned("other", "--exact");
    succeed(await submit("hostile"));
    await withQueueOf("hostile", async (queue, client, { id }) => {
      const other = JSON.parse(await readFile(at("other", "campaign.json"), "utf8")) as Campaign;
      const payloads = {
        foreign: { campaign: other.id, index: 0 },
        words: { campaign: id, index: "0; touch hacked" },
        beyond: { campaign: id, index: 8 },
        more: { campaign: id, index: 0, command: "touch hacked" },
        nothing: null,
      };
      for (const [jobId, data] of Object.entries(payloads)) await queue.add("index", data, { jobId });
      // no JSON at all, put there by hand
      await queue.add("index", {}, { jobId: "garbage", lifo: true });
      await client.hset(`${PREFIX}:${queue.name}:garbage`, "data", "}{", "opts", "[");
    });
    const { code, stderr } = await startWorker("hostile").outcome;
    const refused = oneLine(stderr);
    expect([code, refused]).toEqual([
      0,
      expect.stringContaining('job "foreign" was refused, and not run: it is of the'),
    ]);
    expect(refused).toContain(
      'job "words" was refused, and not run: it is none of PRISM\'s: index: expected a whole number',
    );
    expect(refused).toContain('job "beyond" was refused, and not run: index 8: the campaign has the indexes 0 to 7');
    expect(refused).toContain('job "more" was refused');
    expect(refused).toContain('job "nothing" was refused');
    expect(readdirSync(folder.path)).not.toContain("hacked");
    expect(readdirSync(at("other"))).not.toContain("attempts");
  });

  test("what is submitted twice is there once, is counted, and is taken back", async () => {
    await planned("twice", ...SLOW);
    for (let times = 0; times < 2; times++) succeed(await submit("twice"));
    expect(await enginesOf("twice")).toEqual([{ engine: "redis", running: 0, waiting: 8 }]);
    // its submitter was killed before it left a mark
    rmSync(at("twice", "submitted"), { recursive: true });
    expect(await enginesOf("twice")).toEqual([{ engine: "redis", running: 0, waiting: 8 }]);
    const worker = startWorker("twice");
    while (beginners(at("twice")).size === 0) await sleep(20);
    const cancelled = await shard("cancel", "twice", "--redis", redis.bareUrl, "--json");
    expect(JSON.parse(cancelled.stdout)).toMatchObject({ cancelled: [{ engine: "redis", running: 1 }] });
    const ended = await worker.outcome;
    expect([ended.code, oneLine(ended.stdout)]).toEqual([75, expect.stringContaining("was taken back")]);
    expect(await enginesOf("twice")).toEqual([{ engine: "redis", running: 0, waiting: 0 }]);
    succeed(await submit("twice"));
    expect((await startWorker("twice").outcome).code).toBe(0);
  });

  test("an index that fails is tried again, and where all that is left was given up the worker ends with 7", async () => {
    await copyFile(MODEL, at("nan.gguf"));
    await spoilTensor(at("nan.gguf"), "blk.3.ffn_up.weight");
    succeed(await shard("plan", "nan.gguf", "--dir", "nan", "--jobs", "1", "--force-findings", "--quiet"));
    succeed(await submit("nan"));
    const { code, stdout, stderr } = await startWorker("nan").outcome;
    expect([code, oneLine(stdout)]).toEqual([
      7,
      expect.stringContaining("! 1 units were given up next: prism shard retry"),
    ]);
    expect(stderr.match(/^! index 0: .*NaN.*$/gm)?.length, stderr).toBe(3);
    expect((await submit("nan")).code).toBe(7);
  });

  test("the password is printed nowhere and kept nowhere; without it, and without a Redis, it is said what to do", async () => {
    await planned("secret");
    succeed(await shard("submit", "secret", "--redis", redis.url));
    const { url } = JSON.parse(readFileSync(at("secret", "submitted", "redis.json"), "utf8"));
    expect(url).toBe(redis.bareUrl);
    const wrong = await prism(["shard", "submit", "secret", "--redis", redis.bareUrl], folder.path);
    expect([wrong.code, oneLine(wrong.stderr)]).toEqual([2, expect.stringContaining("PRISM_REDIS_PASSWORD")]);
    const status = await prism(["shard", "status", "secret", "--redis", redis.bareUrl], folder.path);
    expect([status.code, oneLine(status.stdout)]).toEqual([0, expect.stringContaining("refuses the user or password")]);
    // what a mark names is not asked: it could be anybody's
    const unasked = await shard("status", "secret");
    expect([unasked.code, oneLine(unasked.stdout)]).toEqual([0, expect.stringContaining("give --redis URL to ask it")]);
    const uncancelled = await shard("cancel", "secret");
    expect([uncancelled.code, oneLine(uncancelled.stderr)]).toEqual([2, expect.stringContaining("give --redis URL")]);
    const nobody = await prism(["shard", "work", "secret", "--redis", "redis://127.0.0.1:1"], folder.path);
    expect([nobody.code, oneLine(nobody.stderr)]).toEqual([75, expect.stringContaining("does not answer")]);
    printed.push(wrong.stdout, wrong.stderr, status.stdout, nobody.stderr);
    const files = readdirSync(folder.path, { recursive: true, encoding: "utf8" }).filter((name) => {
      const found = statSync(at(name));
      return found.isFile() && found.size < 1e6;
    });
    const texts = [...printed, ...files.map((name) => readFileSync(at(name), "latin1"))].join("\n");
    for (const secret of [redis.password, encodeURIComponent(redis.password)]) expect(texts).not.toContain(secret);
  });
});

test("the URL of another machine has a password or TLS; what may hold a password is never repeated", () => {
  expect(() => redisAddress("redis://db.example:6379", {})).toThrow("neither a password nor TLS");
  expect(redisAddress("rediss://db.example", {})).toMatchObject({ tls: { servername: "db.example" }, port: 6379 });
  expect(redisAddress("rediss://10.0.0.1", {}).tls).toEqual({});
  const given = redisAddress("redis://me:p%40ss@db.example:1/3", {});
  expect(given).toMatchObject({ username: "me", password: "p@ss", db: 3, url: "redis://me@db.example:1/3" });
  expect(redisAddress("redis://db.example", { PRISM_REDIS_PASSWORD: "x" })).toMatchObject({ password: "x" });
  for (const local of ["redis://localhost", "redis://127.0.0.1:7", "redis://[::1]:7"]) redisAddress(local, {});
  for (const wrong of [
    "http://:secret@h",
    "redis://:secret@",
    "secret",
    "redis://:secret@h/x",
    "redis://:secret@h?a=1",
  ]) {
    expect(() => redisAddress(wrong, {})).toThrow(/^--redis: (?!.*secret)/);
  }
});
