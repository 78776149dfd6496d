import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createHttpSession, type HttpOptions } from "../../src/bytes/http-source.ts";
import { locate } from "../../src/bytes/location.ts";
import type { ByteSource } from "../../src/bytes/source.ts";
import { openModel } from "../../src/gguf/open.ts";
import { RangeServer } from "./range-server.ts";

const bytes = readFileSync("models/books-llama-8m-f16.gguf");
const MIB = 2 ** 20;

let server: RangeServer;
let dir: string;
const scratch = mkdtempSync(join(tmpdir(), "prism-http-cache-"));
beforeAll(async () => {
  server = await RangeServer.start();
});
afterAll(async () => {
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
});
beforeEach(() => {
  server.reset();
  server.files.set("/model.gguf", { bytes, etag: '"one"' });
  dir = mkdtempSync(join(scratch, "cache-"));
});

const open = async (options: HttpOptions = {}, query = ""): Promise<ByteSource> => {
  const { http } = locate(`${server.origin}/model.gguf${query}`);
  if (http === undefined) throw new Error("expected a remote name");
  return createHttpSession({ cacheDir: dir, retryBaseMs: 1, ...options }).open(http);
};

/** Read ranges by a new source; gives the requests it took besides the first. */
async function read(
  ranges: readonly (readonly [offset: number, length: number])[],
  options: HttpOptions = {},
  query = "",
) {
  server.asked.length = 0;
  const source = await open(options, query);
  for (const [offset, length] of ranges) {
    const data = await source.read(offset, length);
    if (Buffer.compare(data, bytes.subarray(offset, offset + length)) !== 0)
      throw new Error(`wrong bytes at ${offset}`);
  }
  await source.close();
  return server.asked.slice(1).map(({ first, last }) => [first, last + 1]);
}

/** All region files, by path. */
function regions(): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".region"))
    .map((name) => join(dir, name));
}

describe("the cache of remote models", () => {
  it("answers a second reading, all but the question whether the file is the same", async () => {
    expect(await read([[0, bytes.length]])).not.toEqual([]);
    let [network, cache] = [0, 0];
    const onTransfer = (from: "network" | "cache", count: number) => {
      if (from === "network") network += count;
      else cache += count;
    };
    expect(
      await read(
        [
          [0, bytes.length],
          [MIB - 10, 20],
          [bytes.length - 1, 1],
        ],
        { onTransfer },
      ),
    ).toEqual([]);
    expect(server.asked).toHaveLength(1);
    // the last block is short
    expect([network, cache]).toEqual([1, bytes.length + 2048 + (bytes.length % 1024 || 1024)]);
    expect(regions()).toHaveLength(Math.ceil(bytes.length / MIB));
  });

  it("fetches only what is missing, neighbours in one request", async () => {
    await read([
      [2048, 1024],
      [MIB, 1024],
    ]);
    expect(await read([[0, 8192]])).toEqual([
      [0, 2048],
      [3072, 8192],
    ]);
    expect(await read([[MIB - 5000, 10_000]])).toEqual([
      [MIB - 5120, MIB],
      [MIB + 1024, MIB + 5120],
    ]);
    expect(
      await read([
        [0, 8192],
        [MIB - 5000, 10_000],
      ]),
    ).toEqual([]);
  });

  it("serves what was fetched a moment ago and is not written yet", async () => {
    expect(
      await read([
        [0, 1024],
        [0, 1024],
        [500, 10],
      ]),
    ).toEqual([[0, 1024]]);
  });

  it("serves the whole model, header and data, without a request", async () => {
    const name = `${server.origin}/model.gguf`;
    const twice = [];
    for (const _ of [1, 2]) {
      server.asked.length = 0;
      const file = await openModel(name, { cacheDir: dir });
      for (const tensor of file.model.tensors) await file.read(tensor, 0, tensor.bytes);
      await file.close();
      twice.push(server.asked.length);
    }
    expect(twice[0]).toBeGreaterThan(50);
    expect(twice[1]).toBe(1);
  });

  it("does not believe damaged files: cut, flipped, of another region, or no such thing", async () => {
    await read([
      [0, 2048],
      [MIB, 1024],
    ]);
    const [first, second] = regions().sort();
    if (first === undefined || second === undefined) throw new Error("expected two regions");
    const good = readFileSync(first);
    const flipped = Buffer.from(good);
    flipped[good.length - 1] = (good.at(-1) ?? 0) ^ 1;
    for (const damaged of [
      good.subarray(0, good.length - 1),
      flipped,
      readFileSync(second),
      Buffer.alloc(7),
      Buffer.alloc(0),
    ]) {
      writeFileSync(first, damaged);
      expect(await read([[0, 2048]])).toEqual([[0, 2048]]);
      expect(readFileSync(first).equals(good)).toBe(true);
    }
  });

  it("keeps versions apart, and nothing where the server does not say exactly which version it has", async () => {
    await read([[0, 1024]]);
    server.files.set("/model.gguf", { bytes, etag: '"two"' });
    expect(await read([[0, 1024]])).toEqual([[0, 1024]]);
    server.files.set("/model.gguf", { bytes, etag: 'W/"three"' });
    expect(await read([[0, 1024]])).toEqual([[0, 1024]]);
    expect(await read([[0, 1024]])).toEqual([[0, 1024]]);
    expect(regions()).toHaveLength(2);
  });

  it("knows a signed address again, and tells other queries apart", async () => {
    await read([[0, 1024]], {}, "?file=1&X-Amz-Signature=a&Expires=5");
    expect(await read([[0, 1024]], {}, "?file=1&X-Amz-Signature=b&Expires=6")).toEqual([]);
    expect(await read([[0, 1024]], {}, "?file=2&X-Amz-Signature=b")).toEqual([[0, 1024]]);
    const written =
      regions()
        .map((path) => readFileSync(path, "latin1"))
        .join() + regions().join();
    expect(written).not.toContain("Signature");
  });

  it("stays within its limit: what was unused longest goes", async () => {
    const limit = { cacheLimitBytes: 3.5 * MIB };
    await read([[0, MIB]], limit);
    await read([[MIB, MIB]], limit);
    await read([[2 * MIB, MIB]], limit);
    const [zero, one, two] = regions().sort();
    if (zero === undefined || one === undefined || two === undefined) throw new Error("expected three regions");
    const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000);
    utimesSync(zero, hoursAgo(3), hoursAgo(3));
    utimesSync(one, hoursAgo(2), hoursAgo(2));
    utimesSync(two, hoursAgo(1), hoursAgo(1));
    // used again
    expect(await read([[0, 10]], limit)).toEqual([]);
    await read([[3 * MIB, MIB]], limit);
    expect(
      regions()
        .map((path) => path.replace(/.*[/\\]/, ""))
        .sort(),
    ).toEqual(["0.region", "2.region", "3.region"]);
    expect(regions().reduce((sum, path) => sum + statSync(path).size, 0)).toBeLessThanOrEqual(limit.cacheLimitBytes);
  });

  it("is not needed: where it can't be written, reading goes on with one note", async () => {
    const notes: string[] = [];
    writeFileSync(join(dir, "remote"), "a file in its place");
    await read(
      [
        [0, bytes.length],
        [0, 10],
      ],
      { onNote: (text) => notes.push(text) },
    );
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/^nothing more of the remote model is kept in the cache: .*is a file, not a folder/);
  });

  it.skipIf(process.platform === "win32" || process.getuid?.() === 0)(
    "serves from a folder that can only be read",
    async () => {
      await read([[0, 1024]]);
      const [path = ""] = regions();
      chmodSync(join(path, ".."), 0o555);
      expect(await read([[0, 1024]])).toEqual([]);
      chmodSync(join(path, ".."), 0o755);
    },
  );

  it("leaves nothing half written behind, and removes what others left", async () => {
    await read([[0, MIB]], { cacheLimitBytes: 3 * MIB });
    const abandoned = join(dir, "remote", "abandoned");
    mkdirSync(abandoned);
    writeFileSync(join(abandoned, "0.region.1.0.part"), Buffer.alloc(2 * MIB));
    utimesSync(join(abandoned, "0.region.1.0.part"), 1, 1);
    await read([[MIB, MIB]], { cacheLimitBytes: 3 * MIB });
    expect(existsSync(abandoned)).toBe(false);
    const names = readdirSync(dir, { recursive: true, encoding: "utf8" });
    expect(names.filter((name) => name.endsWith(".part"))).toEqual([]);
  });
});
