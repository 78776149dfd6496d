/** Hostile clients against both servers, from a seed: what they send is drawn, what they may be answered is checked. */
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serializePlan } from "../src/plan/serialize-plan.ts";
import { createRandom } from "../src/random.ts";
import { startReview } from "../src/report/review-server.ts";
import { labelOf } from "../src/rerank/rank-content.ts";
import type { RerankScorer } from "../src/rerank/rerank-scorer.ts";
import { RANK_MODEL_TYPE, rankEndpoints } from "../src/server/rank-endpoints.ts";
import { buildServer } from "../src/server/server.ts";
import { runInMemory } from "../test/report/charts/run-in-memory.ts";

export interface AttackOptions {
  readonly seed: number;
  readonly requests: number;
  readonly signal?: AbortSignal | undefined;
}

export interface AttackOutcome {
  readonly requests: number;
  readonly crashes: number;
  readonly hangs: number;
  readonly wrong: string[];
}

/** Milliseconds after which a connection that is neither answered nor cut counts as a hang. */
const HANG_MS = 10_000;
const TOGETHER = 16;
const LIMITS = { headMs: 500, requestMs: 800, idleMs: 300, stallMs: 800, answerMs: 3000 };
const GOOD = { query: "q", documents: ["a", "bbb", "cc"] };

/** Scores by length, without an engine. */
const scorer: RerankScorer = {
  reranker: { path: "m", head: "sigmoid", relevant: 0, outputs: 1, vocabSize: 1, warnings: [] },
  scoredBy: "embedded",
  score: async ({ documents }) =>
    documents.map(labelOf).map(({ length }) => ({ score: length / 10, truncated: false })),
  close: async () => undefined,
};

/** Attack; then a good request must still be answered rightly, and the plan be as it was. */
export async function attackServers({ seed, requests, signal }: AttackOptions): Promise<AttackOutcome> {
  const dir = await mkdtemp(join(tmpdir(), "prism-attack-"));
  const path = join(dir, "plan.json");
  const plan = serializePlan(runInMemory().plan);
  await writeFile(path, plan);
  const rerank = buildServer({
    endpoints: (limits) => rankEndpoints(scorer, "m", limits),
    modelType: RANK_MODEL_TYPE,
    modelName: "m",
    queueLimit: 8,
    bodyLimitBytes: 20_000,
    maxDocuments: 50,
    connections: LIMITS,
  });
  const url = await rerank.listen({ host: "127.0.0.1", port: 0 });
  const review = await startReview({ path, port: 0, connections: LIMITS });
  const random = createRandom(seed);
  const wrong: string[] = [];
  const failures: Error[] = [];
  const failed = (error: Error) => failures.push(error);
  process.on("uncaughtException", failed);
  process.on("unhandledRejection", failed);
  let sent = 0;
  let hangs = 0;
  try {
    while (sent < requests && !signal?.aborted) {
      const batch = Array.from({ length: Math.min(TOGETHER, requests - sent) }, () => {
        const target = new URL(random() < 0.6 ? url : review.url);
        return attack(target, drawRequest(random, target.host), random);
      });
      for (const answer of await Promise.all(batch)) {
        if (answer === undefined) hangs++;
        else if (/^HTTP\/1\.1 500/m.test(answer)) wrong.push(answer.slice(0, 200));
      }
      sent += batch.length;
    }
    wrong.push(...(await lookAfter(url, review.url)));
    if (review.saves() > 0 || (await readFile(path, "utf8")) !== plan) wrong.push("the plan was changed");
  } finally {
    await Promise.all([review.close(), rerank.close()]);
    process.off("uncaughtException", failed);
    process.off("unhandledRejection", failed);
    await rm(dir, { recursive: true, force: true });
  }
  wrong.push(...failures.map(({ message }) => message));
  return { requests: sent, crashes: failures.length, hangs, wrong };
}

async function lookAfter(url: string, reviewUrl: string): Promise<string[]> {
  const answer = await fetch(`${url}/v1/rerank`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(GOOD),
  });
  const text = await answer.text();
  const order = /"index":1.*"index":2.*"index":0/.test(text);
  const entered = await fetch(reviewUrl, { redirect: "manual" });
  return [
    ...(answer.status === 200 && order ? [] : [`a good request got ${answer.status} ${text.slice(0, 200)}`]),
    ...(entered.status === 303 ? [] : [`the token got ${entered.status}`]),
  ];
}

type Random = () => number;

function pick<Item>(items: readonly Item[], random: Random): Item {
  return items[Math.floor(random() * items.length)] as Item;
}

function drawRequest(random: Random, host: string): Buffer {
  const method = pick(["GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", ""], random);
  const paths = [
    "/",
    "/v1/rerank",
    "/v1/rerank",
    "/plan",
    "/health",
    "/?token=a&token=b",
    "/%zz",
    "/%00",
    "//",
    "*",
    "",
  ];
  const target = pick(
    [...paths, "http://evil.example/", "/\\..\\x", "/?__proto__=1", `/${"a".repeat(20_000)}`],
    random,
  );
  const body = drawBody(random);
  const lines = [`Host: ${pick([host, host, host, "evil.example", "", "a b", "[::1"], random)}`];
  if (random() < 0.8) lines.push("Content-Type: application/json");
  const framing = pick(["length", "length", "length", "short", "long", "chunked", "broken", "both", "none"], random);
  if (["length", "both"].includes(framing)) lines.push(`Content-Length: ${body.length}`);
  if (framing === "short") lines.push(`Content-Length: ${body.length >> 1}`);
  if (framing === "long") lines.push(`Content-Length: ${pick([body.length + 9, 2 ** 40, -1], random)}`);
  if (["chunked", "broken", "both"].includes(framing)) lines.push("Transfer-Encoding: chunked");
  const odd = ["Cookie: a=b; a=c; =", "Expect: 100-continue", "Upgrade: websocket", `X: ${"y".repeat(20_000)}`];
  if (random() < 0.3) lines.push(pick([...odd, "Authorization: Bearer", "Origin: null", "Host: second"], random));
  const chunk = framing === "broken" ? "zz\r\n" : `${body.length.toString(16)}\r\n`;
  const chunked = lines.includes("Transfer-Encoding: chunked");
  const sent = chunked ? [Buffer.from(chunk), body, Buffer.from("\r\n0\r\n\r\n")] : [body];
  const head = `${method} ${target} ${pick(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9"], random)}\r\n`;
  return Buffer.concat([Buffer.from(`${head}${lines.join("\r\n")}\r\n\r\n`), ...sent]);
}

function drawBody(random: Random): Buffer {
  const good = JSON.stringify(GOOD);
  const texts = [
    good,
    good,
    "",
    "{}",
    "[".repeat(15_000),
    '{"query":"q","documents":["a"],"top_n":1e999}',
    '{"query":"\\ud800\\u0000","documents":["\\udfff",{"text":"\\u0000"}],"top_n":1e300}',
    '{"__proto__":{"query":"q"},"documents":[{"__proto__":{"text":"x"}}]}',
    `{"query":"q","documents":[${'"a",'.repeat(60)}"b"]}`,
    "x".repeat(40_000),
  ];
  const body = Buffer.from(pick(texts, random));
  if (random() < 0.2 && body.length > 0) body[Math.floor(random() * body.length)] = Math.floor(random() * 256);
  return body;
}

/** Send as a whole, in part, twice, or and leave; the answer, or undefined where the connection hangs. */
async function attack(url: URL, bytes: Buffer, random: Random): Promise<string | undefined> {
  const manner = pick(["whole", "whole", "half", "twice", "leave", "deaf"], random);
  const part = bytes.subarray(0, manner === "half" ? Math.floor(random() * bytes.length) : bytes.length);
  const leaveAfter = Math.floor(random() * 20);
  const socket: Socket = connect(Number(url.port), url.hostname);
  let answer = "";
  socket.on("error", () => undefined);
  if (manner !== "deaf") socket.on("data", (piece) => (answer += piece.toString("latin1")));
  const ended = once(socket, "close").then(() => answer);
  ended.catch(() => undefined);
  socket.write(manner === "twice" ? Buffer.concat([part, part]) : part);
  if (manner === "leave") setTimeout(() => socket.destroy(), leaveAfter);
  if (manner === "deaf") setTimeout(() => socket.resume(), 500);
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), HANG_MS);
  });
  const outcome = await Promise.race([ended.catch(() => answer), hung]);
  clearTimeout(timer);
  socket.destroy();
  return outcome;
}
