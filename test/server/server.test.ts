import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { EngineError, UsageError } from "../../src/errors.ts";
import { openLastingScorer } from "../../src/server/lasting-scorer.ts";
import { gradient } from "../fixtures/pictures.ts";
import { post, scorerOf, start, stop } from "./start-server.ts";

afterEach(stop);

const ASKED = { query: "capital?", documents: ["Paris", { text: "Bananas!" }, "long"] };

/** Work that waits until it is let go. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

describe("the rerank endpoint", () => {
  it("answers on Cohere's, Jina's and llama-server's paths, the best document first", async () => {
    const url = await start(scorerOf());
    for (const path of ["/v1/rerank", "/rerank", "/v2/rerank"]) {
      const response = await post(`${url}${path}`, { ...ASKED, model: "x", top_n: 2, return_documents: true });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({
        object: "list",
        model: "x",
        usage: { prompt_tokens: 15, total_tokens: 15 },
        results: [
          { index: 1, relevance_score: 0.08, document: { text: "Bananas!" } },
          { index: 0, relevance_score: 0.05, document: { text: "Paris" } },
        ],
        truncated: [2],
      });
    }
  });

  it("answers Voyage's top_k with Voyage's data", async () => {
    const url = await start(scorerOf());
    const answer = await (await post(`${url}/v1/rerank`, { ...ASKED, top_k: 1, return_documents: true })).json();
    expect(answer).toMatchObject({ data: [{ index: 1, relevance_score: 0.08, document: "Bananas!" }] });
    expect(await (await post(`${url}/v1/rerank`, ASKED)).json()).not.toHaveProperty("data");
  });

  it("hands images on, and answers with their texts or sizes, never with their bytes", async () => {
    const { scorer, seen } = scorerOf();
    const url = await start({ scorer });
    const base64 = gradient(64, 48, [255, 0, 0]).toString("base64");
    const image = `data:image/png;base64,${base64}`;
    const asked = { query: "red?", documents: [{ image }, { image, text: "a gradient" }, { image, text: "" }, "text"] };
    type Answer = { results: { index: number; document: object }[]; message: string };
    const ask = async (body: object) => (await (await post(`${url}/v1/rerank`, body)).json()) as Answer;
    const answer = await ask({ ...asked, return_documents: true });
    const picture = { base64, width: 64, height: 48 };
    expect(seen[0]?.documents).toEqual([{ picture }, { picture, text: "a gradient" }, { picture }, "text"]);
    const texts = answer.results.map(({ index, document }) => [index, document]);
    expect(texts.sort()).toEqual([
      [0, { text: "image 64×48" }],
      [1, { text: "a gradient" }],
      [2, { text: "image 64×48" }],
      [3, { text: "text" }],
    ]);
    expect((await ask({ query: { image }, documents: new Array(50).fill("a") })).message).toMatch(
      /read with each of 50/,
    );
  });

  it("tells health and models", async () => {
    const url = await start(scorerOf());
    expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: "ok", waiting: 0 });
    expect(await (await fetch(`${url}/v1/models`)).json()).toMatchObject({ data: [{ id: "m" }] });
  });

  it.each([
    ["not JSON", 400, /not valid JSON/],
    ["", 400, /empty/i],
    ['{"query": "q", "documents": ["a"], "qu\\u0065ry": "p"}', 400, /says "query" \(line 1\) twice/],
    [[], 400, /expected a JSON object/],
    [{ documents: ["a"] }, 400, /"query" must be a text/],
    [{ query: "q", documents: "a" }, 400, /"documents" must be an array/],
    [{ query: "q", documents: [] }, 400, /"documents" must be an array/],
    [{ query: "q", documents: ["a", {}] }, 400, /document 1 must be a text, or an object with a "text" or an "image"/],
    [
      { query: "q", documents: ["a", { image: "/etc/x.png" }] },
      400,
      /image of document 1 must be a data URL.*not opened/,
    ],
    [{ query: { image: "http://x/y.png" }, documents: ["a"] }, 400, /the image of the query must be a data URL/],
    [{ query: "q", documents: [{ image: "data:image/svg+xml;base64,PHN2Zz4=" }] }, 400, /must be a data URL/],
    [{ query: "q", documents: [{ image: "data:image/png;base64,a b" }] }, 400, /must be a data URL/],
    [
      { query: "q", documents: [{ image: "data:image/png;base64,aGVsbG8=" }] },
      400,
      /document 0 is no PNG, JPEG or WebP/,
    ],
    [{ query: "q", documents: [{ image: 5 }] }, 400, /"image" must be a text/],
    [{ query: "q", documents: ["a"], top_n: -1 }, 400, /"top_n" must be a whole number/],
    [{ query: "q", documents: ["a"], top_k: "x" }, 400, /"top_k" must be/],
    [{ query: "q", documents: ["a"], return_documents: 1 }, 400, /"return_documents"/],
    [{ query: "q", documents: new Array(51).fill("a") }, 400, /has 51 entries, at most 50/],
    [{ query: "q", documents: ["x".repeat(20_000)] }, 413, /too large/],
    [{ query: "q".repeat(300), documents: new Array(50).fill("a") }, 413, /read with each of 50 documents, 15050 char/],
    [{ query: "q", documents: ["a"], instruct: 1 }, 400, /"instruct" must be a text/],
    ['{"query": "q", "documents": ["a"], "top_n": 1e999}', 400, /"top_n" must be a whole number/],
    ['{"query": "q", "documents": ["a"], "top_n": NaN}', 400, /not valid JSON/],
    ['{"__proto__": {"query": "q", "documents": ["a"]}}', 400, /"query" must be a text/],
    ['{"query": "q", "documents": [{"__proto__": {"text": "a"}}]}', 400, /document 0 must be a text/],
    ["[".repeat(9000), 400, /nested more than 64 deep/],
    [`[${"0,".repeat(4000)}0]`, 400, /more than 2600 values/],
  ])("refuses %j with %i and says why", async (body, status, message) => {
    const { scorer, seen } = scorerOf();
    const response = await post(`${await start({ scorer })}/v1/rerank`, body);
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as { error: { code: number; message: string } };
    expect(error.code).toBe(status);
    expect(error.message).toMatch(message);
    expect(seen).toEqual([]);
  });

  it("refuses other types and paths in JSON, and a query too long by the scorer's word", async () => {
    const url = await start(scorerOf(() => Promise.reject(new UsageError("the query is too long"))));
    expect((await post(`${url}/v1/rerank`, ASKED, { "Content-Type": "text/plain" })).status).toBe(415);
    expect((await fetch(`${url}/v1/rerank`)).status).toBe(404);
    const response = await post(`${url}/v1/rerank`, ASKED);
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { message: "the query is too long" } },
    ]);
  });

  it("asks for the key where there is one, but not for health", async () => {
    const url = await start({ ...scorerOf(), apiKey: "secret" });
    expect((await post(`${url}/v1/rerank`, ASKED)).status).toBe(401);
    expect((await post(`${url}/v1/rerank`, ASKED, { Authorization: "Bearer wrong" })).status).toBe(401);
    expect((await post(`${url}/v1/rerank`, ASKED, { Authorization: "Bearer secret" })).status).toBe(200);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it("answers 100 requests at a time, one after another", async () => {
    let running = 0;
    let most = 0;
    const url = await start(
      scorerOf(async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
      }),
    );
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const response = await post(`${url}/v1/rerank`, { query: "q", documents: [`${"x".repeat(index + 1)}`] });
        return ((await response.json()) as { results: { relevance_score: number }[] }).results[0]?.relevance_score;
      }),
    );
    expect(answers).toEqual(Array.from({ length: 100 }, (_, index) => (index + 1) / 100));
    expect(most).toBe(1);
  });

  it("tells who comes when the line is full to come back, and serves the others", async () => {
    const { opened, open } = gate();
    const url = await start({ ...scorerOf(() => opened), queueLimit: 3 });
    const all = Array.from({ length: 100 }, () => post(`${url}/v1/rerank`, ASKED));
    await expect
      .poll(async () => ((await (await fetch(`${url}/health`)).json()) as { waiting: number }).waiting)
      .toBe(3);
    const busy = await post(`${url}/v1/rerank`, ASKED);
    expect(busy.status).toBe(429);
    expect(Number(busy.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    open();
    const statuses = (await Promise.all(all)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(4);
    expect(statuses.filter((status) => status === 429)).toHaveLength(96);
  });

  it("gives the place of a client that hangs up to others, waiting or being scored", async () => {
    const { opened, open } = gate();
    const { scorer, seen } = scorerOf(() => opened);
    const url = await start({ scorer, queueLimit: 1 });
    const leaving = [new AbortController(), new AbortController()];
    const left = leaving.map(({ signal }) =>
      fetch(`${url}/v1/rerank`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(ASKED),
        signal,
      }).catch((error: Error) => error.name),
    );
    await expect
      .poll(async () => ((await (await fetch(`${url}/health`)).json()) as { waiting: number }).waiting)
      .toBe(1);
    for (const controller of leaving) controller.abort();
    expect(await Promise.all(left)).toEqual(["AbortError", "AbortError"]);
    await expect.poll(() => seen[0]?.signal?.aborted).toBe(true);
    const next = post(`${url}/v1/rerank`, ASKED);
    open();
    expect((await next).status).toBe(200);
    expect(seen).toHaveLength(2);
  });

  it("survives half a request", async () => {
    const url = new URL(await start(scorerOf()));
    const socket = connect(Number(url.port), url.hostname);
    await once(socket, "connect");
    socket.write(
      "POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
    );
    socket.destroy();
    expect((await post(`${url.origin}/v1/rerank`, ASKED)).status).toBe(200);
  });

  it.each([
    ["by its length", { "Content-Length": "200000000" }],
    ["while it comes in pieces", {}],
  ])("refuses a large body %s, before it is all sent", async (_what, length) => {
    const url = await start(scorerOf());
    const headers = { "Content-Type": "application/json", ...length };
    const sending = request(`${url}/v1/rerank`, { method: "POST", headers });
    sending.on("error", () => undefined);
    let sent = 0;
    const piece = Buffer.alloc(65_536, " ");
    const send = () => {
      while (sent < 200_000_000 && !sending.destroyed) {
        sent += piece.length;
        if (!sending.write(piece)) return void sending.once("drain", send);
      }
    };
    send();
    const [answer] = (await once(sending, "response")) as [IncomingMessage];
    expect([answer.statusCode, answer.headers.connection]).toEqual([413, "close"]);
    expect(sent).toBeLessThan(50_000_000);
    sending.destroy();
    await stop();
  });

  it("says of bytes that are no text that they are not, and takes odd text as it is", async () => {
    const { scorer, seen } = scorerOf();
    const url = `${await start({ scorer })}/v1/rerank`;
    const headers = { "Content-Type": "application/json" };
    const [before, after] = JSON.stringify({ query: "q", documents: ["|"] }).split("|") as [string, string];
    const sent = (piece: Buffer) => Buffer.concat([Buffer.from(before), piece, Buffer.from(after)]);
    const broken = await fetch(url, { method: "POST", headers, body: sent(Buffer.from([0xff, 0xc3])) });
    expect([broken.status, await broken.json()]).toMatchObject([
      400,
      { error: { message: expect.stringMatching(/not valid UTF-8/) } },
    ]);
    const zipped = await fetch(url, { method: "POST", headers: { ...headers, "Content-Encoding": "gzip" }, body: "x" });
    expect(zipped.status).toBe(415);
    const odd = ["\ud800", "\u0000", "\ufeff", "𝄞"];
    const answer = await post(url, { query: "q", documents: odd, top_n: 1e300, return_documents: true });
    expect(((await answer.json()) as { results: unknown[] }).results).toHaveLength(4);
    expect(seen.map(({ documents }) => documents)).toEqual([odd]);
  });

  it("holds only so many bytes of requests that wait, and none of those that were answered", async () => {
    const { opened, open } = gate();
    const { scorer, seen } = scorerOf(() => opened);
    const url = `${await start({ scorer })}/v1/rerank`;
    const body = { query: "q", documents: ["x".repeat(9000)] };
    const held = Array.from({ length: 4 }, () => post(url, body));
    await expect.poll(() => seen.length).toBe(1);
    await expect.poll(async () => (await post(url, body)).status).toBe(429);
    const busy = await post(url, body);
    expect([busy.status, busy.headers.get("retry-after")]).toEqual([429, "1"]);
    open();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    for (let requests = 0; requests < 6; requests++) expect((await post(url, body)).status).toBe(200);
  });

  it("refuses to answer under another name without a key: a page can point its own name at this machine", async () => {
    const names = { ours: "localhost:8012", theirs: "evil.example" };
    const asked = async (host: string) => {
      const sent = request(`${url}/v1/models`, { headers: { host } }).end();
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      return [answer.statusCode, await new Response(Readable.toWeb(answer) as ReadableStream).text()];
    };
    let url = await start(scorerOf());
    expect(await asked(names.ours)).toMatchObject([200, expect.stringMatching(/"m"/)]);
    expect(await asked(names.theirs)).toMatchObject([
      403,
      expect.stringMatching(/does not answer as .*evil\.example.*--allow-host/),
    ]);
    await stop();
    url = await start({ ...scorerOf(), allowedHosts: ["evil.example"] });
    expect(await asked(names.theirs)).toMatchObject([200, expect.stringMatching(/"m"/)]);
    await stop();
    url = await start({ ...scorerOf(), apiKey: "secret" });
    expect(await asked(names.theirs)).toMatchObject([401, expect.stringMatching(/API key/)]);
  });

  it("lets pages of this machine ask without a key, and any page with one", async () => {
    const cases = [
      [undefined, "http://localhost:3000", "http://localhost:3000"],
      [undefined, "https://app.example", null],
      ["secret", "https://app.example", "https://app.example"],
    ] as const;
    for (const [apiKey, origin, allowed] of cases) {
      const url = await start({ ...scorerOf(), apiKey });
      const preflight = await fetch(`${url}/v1/rerank`, {
        method: "OPTIONS",
        headers: {
          Origin: origin,
          "Access-Control-Request-Method": "POST",
          "Access-Control-Request-Headers": "authorization,content-type",
        },
      });
      expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, allowed]);
      expect(preflight.headers.get("access-control-allow-methods")).toContain("POST");
      expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization,content-type");
      const answers = [
        await post(`${url}/v1/rerank`, "no JSON", { Origin: origin, Authorization: "Bearer secret" }),
        await post(`${url}/v1/rerank`, ASKED, { Origin: origin, Authorization: "Bearer secret" }),
        await post(`${url}/v1/rerank`, ASKED, { Origin: origin }),
        await post(`${url}/v1/rerank`, "x".repeat(20_000), { Origin: origin, Authorization: "Bearer secret" }),
        await post(`${url}/nowhere`, ASKED, { Origin: origin, Authorization: "Bearer secret" }),
      ];
      expect(answers.map(({ status }) => status)).toEqual([400, 200, apiKey === undefined ? 200 : 401, 413, 404]);
      const origins = answers.map(({ headers }) => headers.get("access-control-allow-origin"));
      expect(origins).toEqual(new Array(5).fill(allowed));
      await stop();
    }
  });

  it("finishes what runs when it stops, and refuses what waits", async () => {
    const { opened, open } = gate();
    const { scorer, seen } = scorerOf(() => opened);
    const url = await start({ scorer });
    const first = post(`${url}/v1/rerank`, ASKED);
    await expect.poll(() => seen.length).toBe(1);
    const second = post(`${url}/v1/rerank`, ASKED);
    await expect
      .poll(async () => ((await (await fetch(`${url}/health`)).json()) as { waiting: number }).waiting)
      .toBe(1);
    const closed = stop();
    expect((await second).status).toBe(503);
    open();
    expect((await first).status).toBe(200);
    await closed;
  });
});

describe("a lasting scorer", () => {
  it("is opened again after its engine's process ended", async () => {
    let opened = 0;
    const scorer = await openLastingScorer(async () => {
      opened++;
      return scorerOf(() => (opened === 1 ? Promise.reject(new EngineError("ended")) : Promise.resolve())).scorer;
    });
    await expect(scorer.score({ query: "q", documents: ["a"] })).rejects.toThrow("ended");
    expect(await scorer.score({ query: "q", documents: ["a"] })).toHaveLength(1);
    expect(opened).toBe(2);
  });
});
