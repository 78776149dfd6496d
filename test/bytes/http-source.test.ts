import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createHttpSession, type HttpOptions } from "../../src/bytes/http-source.ts";
import { locate } from "../../src/bytes/location.ts";
import type { ByteSource } from "../../src/bytes/source.ts";
import { FileError, FormatError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { RangeServer } from "./range-server.ts";

const MODEL = "models/books-llama-8m-f16.gguf";
const bytes = readFileSync(MODEL);

let server: RangeServer;
let elsewhere: RangeServer;
beforeAll(async () => {
  [server, elsewhere] = await Promise.all([RangeServer.start(), RangeServer.start()]);
});
afterAll(() => Promise.all([server.stop(), elsewhere.stop()]));
beforeEach(() => {
  for (const one of [server, elsewhere]) {
    one.reset();
    one.files.set("/m/model.gguf", { bytes, etag: '"one"' });
  }
});

const FAST: HttpOptions = { retryBaseMs: 1, stallMs: 5_000 };
const address = (query = "") => `${server.origin}/m/model.gguf${query}`;

async function open(name = address(), options: HttpOptions = {}, env: NodeJS.ProcessEnv = {}): Promise<ByteSource> {
  const { http } = locate(name, env);
  if (http === undefined) throw new Error("expected a remote name");
  return createHttpSession({ ...FAST, ...options }).open(http);
}

async function failure(work: Promise<unknown>): Promise<Error> {
  const result = await work.catch((error: unknown) => error);
  if (!(result instanceof Error)) throw new Error("expected a failure");
  return result;
}

/** Open, read one range, and hold it against the file. */
async function readsWell(options: HttpOptions = {}, offset = 1000, length = 5000): Promise<void> {
  const source = await open(address(), options);
  const data = await source.read(offset, length);
  expect(Buffer.compare(data, bytes.subarray(offset, offset + length))).toBe(0);
  await source.close();
}

describe("a remote source", () => {
  it("serves the model of the local file, its data, and nothing of it twice", async () => {
    const local = await openModel(MODEL);
    const remote = await openModel(address(), FAST);
    expect(remote.model).toEqual({
      ...local.model,
      path: address(),
      shards: [{ path: address(), fileBytes: bytes.length }],
    });
    // the probe, and the header's one piece
    expect(server.asked.map(({ first, last }) => [first, last])).toEqual([
      [0, 0],
      [0, 2 ** 20 - 1],
    ]);
    const tensor = local.model.tensors[5];
    if (tensor === undefined) throw new Error("the model has tensors");
    expect(await remote.read(tensor, 10, 777)).toEqual(await local.read(tensor, 10, 777));
    await Promise.all([local.close(), remote.close()]);
  });

  it("asks for whole blocks of 1 KiB, in pieces of 4 MiB, 8 at a time", async () => {
    server.delayMs = 20;
    const source = await open();
    await source.read(1500, 100);
    expect(server.asked.at(-1)).toMatchObject({ first: 1024, last: 2047 });
    await Promise.all(Array.from({ length: 20 }, (_, i) => source.read(i * 100_000, 10)));
    expect(server.mostBusy).toBe(8);
    server.reset();
    expect(Buffer.compare(await source.read(0, bytes.length), bytes)).toBe(0);
    expect(server.asked.map(({ first, last }) => last - first + 1).sort((a, b) => b - a)).toEqual([
      ...Array(Math.floor(bytes.length / 2 ** 22)).fill(2 ** 22),
      bytes.length % 2 ** 22,
    ]);
    expect(await source.read(5, 0)).toHaveLength(0);
    expect(await failure(source.read(bytes.length - 1, 2))).toBeInstanceOf(FormatError);
  });

  it("counts what arrives, lost answers included", async () => {
    let network = 0;
    server.misbehave = ({ first }, response, number) => {
      if (number !== 2) return false;
      response.writeHead(206, { "content-range": `bytes ${first}-2047/${bytes.length}`, etag: '"one"' });
      response.end(Buffer.alloc(100));
      return true;
    };
    await readsWell({ onTransfer: (from, count) => (network += from === "network" ? count : 0) }, 0, 2048);
    expect(network).toBe(1 + 100 + 2048);
  });

  it("stops at once when it is told to, or closed", async () => {
    const stop = new AbortController();
    const source = await open(address(), { signal: stop.signal });
    server.misbehave = () => true;
    const read = failure(source.read(0, 10));
    setTimeout(() => stop.abort(), 20);
    expect(await read).toMatchObject({ name: "AbortError" });
    expect(await failure(open(address(), { signal: stop.signal }))).toMatchObject({ name: "AbortError" });
    server.reset();
    const other = await open();
    server.misbehave = () => true;
    const cut = failure(other.read(0, 10));
    await other.close();
    expect(await cut).toMatchObject({ name: "AbortError" });
  });
});

describe("what passes is tried again", () => {
  it("an error of the server, twice", async () => {
    server.misbehave = (_, response, number) => {
      if (number > 2) return false;
      response.writeHead(number === 1 ? 500 : 503).end("later");
      return true;
    };
    await readsWell();
    expect(server.asked).toHaveLength(4);
  });

  it("too many requests, after the time the server asks for", async () => {
    server.misbehave = (_, response, number) => {
      if (number > 1) return false;
      response.writeHead(429, { "retry-after": "1" }).end();
      return true;
    };
    const started = performance.now();
    await readsWell();
    expect(performance.now() - started).toBeGreaterThan(990);
  });

  it("but not where the server asks for an hour", async () => {
    server.misbehave = (_, response) => {
      response.writeHead(429, { "retry-after": "3600" }).end();
      return true;
    };
    const error = await failure(open());
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toBe(`${address()}: the server answers 429 and asks to wait 60 min; try again then`);
    expect(server.asked).toHaveLength(1);
  });

  it("a connection that breaks, before and in the middle of an answer", async () => {
    server.misbehave = ({ first, last }, response, number) => {
      if (number > 2) return false;
      if (number === 2) {
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}`, etag: '"one"' });
        response.write(Buffer.alloc(1));
      }
      setTimeout(() => response.destroy(), 10);
      return true;
    };
    await readsWell();
    expect(server.asked).toHaveLength(4);
  });

  it("an answer that stalls, before and in the middle", async () => {
    server.misbehave = ({ first, last }, response, number) => {
      if (number !== 2 && number !== 3) return false;
      if (number === 3) {
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}`, etag: '"one"' });
        response.write(Buffer.alloc(10));
      }
      return true;
    };
    await readsWell({ stallMs: 150 });
    expect(server.asked).toHaveLength(4);
  });

  it("an answer that is too short; six times in a row is enough", async () => {
    const source = await open();
    server.misbehave = ({ first, last }, response) => {
      response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}`, etag: '"one"' });
      response.end(bytes.subarray(first, last));
      return true;
    };
    const error = await failure(source.read(0, 1024));
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toBe(
      `${address()}: the answer ended after 1,023 of 1,024 bytes, 6 times in a row; check the connection and try again`,
    );
    expect(server.asked).toHaveLength(7);
  });

  it("a server that went away, in vain; one that never was there is not waited for", async () => {
    const gone = await RangeServer.start();
    const name = `${gone.origin}/model.gguf`;
    gone.files.set("/model.gguf", { bytes, etag: '"one"' });
    const source = await open(name);
    await gone.stop();
    expect((await failure(open(name))).message).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/model\.gguf: no server answers there; check the address \(.*ECONNREFUSED.*\)$/,
    );
    expect((await failure(open("http://127.0.0.1:9/model.gguf"))).message).toMatch(
      /^http:\/\/127\.0\.0\.1:9\/model\.gguf: web servers don't use this port; check the address \(bad port\)$/,
    );
    expect((await failure(source.read(0, 10))).message).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/model\.gguf: the connection failed \(.*ECONNREFUSED.*\), 6 times in a row; check/,
    );
  });
});

describe("what can't be right is refused", () => {
  const answer = (
    status: number,
    headers: Record<string, string | number> = {},
    body: Uint8Array = Buffer.alloc(1),
  ) => {
    server.misbehave = (_, response) => {
      response.writeHead(status, headers).end(body);
      return true;
    };
  };

  it.each([
    [200, /the server sends the whole file when asked for a part of it; download the file first \(curl -fL -O http/],
    [401, /no permission to read it \(status 401\)/],
    [403, /no permission to read it \(status 403\); it may need a login, or a signed address has expired/],
    [404, /no such file \(status 404\); check the address/],
    [416, /the file is empty/],
    [418, /the server answers 418, expected 206/],
  ])("status %i", async (status, message) => {
    answer(status);
    const error = await failure(open());
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toMatch(message);
    expect(server.asked).toHaveLength(1);
  });

  it.each([
    ["no range", {}, /does not say which bytes of how many it sends \(""\)/],
    ["no length", { "content-range": "bytes 0-0/*" }, /does not say which bytes of how many/],
    [
      "another range",
      { "content-range": "bytes 5-5/100" },
      /asked for bytes 0 to 0, the server says that it sends 5 to 5/,
    ],
    ["a length that can't be", { "content-range": "bytes 0-0/0" }, /says that the file has 0 bytes, which can't be/],
    ["compression", { "content-range": "bytes 0-0/9", "content-encoding": "x-odd" }, /sends it compressed \(x-odd\)/],
  ])("an answer with %s", async (_, headers, message) => {
    answer(206, headers);
    expect((await failure(open())).message).toMatch(message);
  });

  it("an answer that is too long", async () => {
    answer(206, { "content-range": "bytes 0-0/100" }, Buffer.alloc(2));
    expect((await failure(open())).message).toMatch(/asked for 1 bytes, the server sends more/);
  });

  it("a file that changes while it is read", async () => {
    const source = await open();
    server.files.set("/m/model.gguf", { bytes, etag: '"two"' });
    const message = `${address()}: the file changed while it was read; start again`;
    // by If-Range, which this server honours
    expect((await failure(source.read(0, 10))).message).toBe(message);
    for (const [status, headers] of [
      [206, { "content-range": `bytes 0-1023/${bytes.length}`, etag: '"two"' }],
      [206, { "content-range": `bytes 0-1023/${bytes.length + 1}`, etag: '"one"' }],
      [412, {}],
      [416, {}],
    ] as const) {
      answer(status, headers, Buffer.alloc(1024));
      expect((await failure(source.read(0, 10))).message).toBe(message);
    }
  });

  it("notices a change without an ETag by its date", async () => {
    let date = "Mon, 02 Jan 2023 00:00:00 GMT";
    server.misbehave = ({ first, last }, response) => {
      response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}`, "last-modified": date });
      response.end(bytes.subarray(first, last + 1));
      return true;
    };
    const source = await open();
    await source.read(0, 10);
    expect(server.asked.at(-1)?.headers["if-range"]).toBeUndefined();
    date = "Tue, 03 Jan 2023 00:00:00 GMT";
    expect((await failure(source.read(0, 10))).message).toMatch(/changed while it was read/);
  });
});

describe("redirects", () => {
  const redirect = (to: string): void => {
    server.misbehave = (_, response) => {
      response.writeHead(302, { location: to }).end();
      return true;
    };
  };

  it("are followed once, and the login stays with the first origin", async () => {
    redirect(`${elsewhere.origin}/m/model.gguf?signature=x`);
    const source = await open(`${server.origin.replace("//", "//me:pass%20word@")}/m/model.gguf`);
    await source.read(0, 10);
    await source.read(5000, 10);
    expect(server.asked).toHaveLength(1);
    expect(server.asked[0]?.headers.authorization).toBe(`Basic ${Buffer.from("me:pass word").toString("base64")}`);
    expect(elsewhere.asked).toHaveLength(3);
    for (const { headers } of elsewhere.asked) expect(headers.authorization).toBeUndefined();
  });

  it("are asked for again when the address they gave has expired", async () => {
    redirect(`${elsewhere.origin}/m/model.gguf?signature=1`);
    const source = await open();
    redirect(`${elsewhere.origin}/m/model.gguf?signature=2`);
    elsewhere.misbehave = ({ url }, response) => {
      if (url.endsWith("2")) return false;
      response.writeHead(403).end();
      return true;
    };
    expect(Buffer.compare(await source.read(0, 2000), bytes.subarray(0, 2000))).toBe(0);
    expect(server.asked).toHaveLength(2);
    // and refused where that does not help
    elsewhere.misbehave = (_, response) => {
      response.writeHead(403).end();
      return true;
    };
    expect((await failure(source.read(0, 10))).message).toMatch(/no permission to read it \(status 403\)/);
  });

  it("in circles, or to something else than the web, are refused", async () => {
    redirect("/m/model.gguf");
    expect((await failure(open())).message).toMatch(/redirects more than 20 times/);
    redirect("file:///etc/passwd");
    expect((await failure(open())).message).toMatch(/redirects to an address that is not https \(file:\)/);
  });
});

describe("secrets", () => {
  it("of an address go to the server and nowhere else", async () => {
    const name = `${server.origin.replace("//", "//me:hush@")}/m/model.gguf?token=hush#hush`;
    const file = await openModel(name, FAST);
    await file.close();
    expect(JSON.stringify([file.model.path, file.model.shards])).not.toContain("hush");
    expect(file.model.path).toBe(address());
    for (const { url } of server.asked) expect(url).toBe("/m/model.gguf?token=hush");
    for (const status of [200, 403, 404, 418]) {
      server.misbehave = (_, response) => {
        response.writeHead(status).end();
        return true;
      };
      expect((await failure(openModel(name, FAST))).message).not.toContain("hush");
    }
    expect((await failure(openModel("https://me:hush@[bad/m.gguf?hush", FAST))).message).not.toContain("hush");
  });
});
