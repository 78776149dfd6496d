import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { FileError, FormatError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { RangeServer } from "./range-server.ts";

const COUNT = 3;
const names = Array.from({ length: COUNT }, (_, i) => `m-0000${i + 1}-of-0000${COUNT}.gguf`);
const FIRST = names[0] ?? "";

let server: RangeServer;
let local: string;
beforeAll(async () => {
  server = await RangeServer.start();
  local = mkdtempSync(join(tmpdir(), "prism-http-shards-"));
  for (const [i, name] of names.entries()) {
    await writeGguf(join(local, name), {
      keyValues: [
        { key: "split.no", type: "u16", value: i },
        { key: "split.count", type: "u16", value: COUNT },
        { key: "split.tensors.count", type: "i32", value: COUNT },
      ],
      tensors: [{ name: `t${i}`, shape: [64], type: "F32", data: new Uint8Array(256).fill(i + 1) }],
    });
  }
});
afterAll(async () => {
  await server.stop();
  rmSync(local, { recursive: true, force: true });
});
beforeEach(() => {
  server.reset();
  server.files.clear();
  vi.unstubAllEnvs();
});

const serveAt = (folder: string) => {
  for (const name of names)
    server.files.set(`${folder}/${name}`, { bytes: readFileSync(join(local, name)), etag: `"${name}"` });
};

const failure = (name: string): Promise<unknown> =>
  openModel(name, { retryBaseMs: 1 }).catch((error: unknown) => error);

describe("shards on a server", () => {
  it("open as one model, each asked for with the query of the first", async () => {
    serveAt("/d");
    const here = await openModel(join(local, FIRST));
    const there = await openModel(`${server.origin}/d/${FIRST}?sig=1`);
    expect(there.model.headerHash).toBe(here.model.headerHash);
    expect(there.model.tensors).toEqual(here.model.tensors);
    expect(there.model.shards.map(({ path }) => path)).toEqual(names.map((name) => `${server.origin}/d/${name}`));
    for (const tensor of there.model.tensors) {
      expect(await there.read(tensor, 3, 50)).toEqual(new Uint8Array(50).fill(tensor.shard + 1));
    }
    expect(new Set(server.asked.map(({ url }) => url))).toEqual(new Set(names.map((name) => `/d/${name}?sig=1`)));
    await Promise.all([here.close(), there.close()]);
  });

  it("say which is missing, and which is not the first", async () => {
    serveAt("/d");
    server.files.delete(`/d/${names[1]}`);
    const missing = await failure(`${server.origin}/d/${FIRST}`);
    expect(missing).toBeInstanceOf(FileError);
    expect((missing as Error).message).toBe(
      `${server.origin}/d/${names[1]}: shard 2 of 3 can't be opened (no such file (status 404); check the address)`,
    );
    const second = await failure(`${server.origin}/d/${names[2]}`);
    expect(second).toBeInstanceOf(FormatError);
    expect((second as Error).message).toContain(
      `this is shard 3 of 3; open the first one, ${server.origin}/d/${FIRST}`,
    );
  });

  it("come from the Hub with the token, at a revision", async () => {
    serveAt("/owner/repo/resolve/refs%2Fpr%2F7/q8");
    vi.stubEnv("HF_ENDPOINT", server.origin);
    vi.stubEnv("HF_TOKEN", "hf_secret");
    const file = await openModel(`hf:owner/repo/q8/${FIRST}@refs/pr/7`);
    await file.close();
    expect(file.model.path).toBe(`hf:owner/repo/q8/${FIRST}@refs/pr/7`);
    expect(file.model.shards.map(({ path }) => path)).toEqual(
      names.map((name) => `hf:owner/repo/q8/${name}@refs/pr/7`),
    );
    for (const { headers } of server.asked) expect(headers.authorization).toBe("Bearer hf_secret");
  });

  it("of the Hub keep the token from where the Hub redirects to", async () => {
    const cdn = await RangeServer.start();
    try {
      serveAt("/cdn");
      for (const [path, file] of server.files) cdn.files.set(path, file);
      vi.stubEnv("HF_ENDPOINT", server.origin);
      vi.stubEnv("HF_TOKEN", "hf_secret");
      server.misbehave = ({ url }, response) => {
        // first to itself, as for a renamed repository
        const to = url.startsWith("/renamed") ? `${cdn.origin}/cdn${url.replace(/^.*\//, "/")}` : `/renamed${url}`;
        response.writeHead(307, { location: to }).end();
        return true;
      };
      const file = await openModel(`hf:o/r/${FIRST}`);
      await file.close();
      expect(server.asked).toHaveLength(2 * COUNT);
      for (const { headers } of server.asked) expect(headers.authorization).toBe("Bearer hf_secret");
      expect(cdn.asked).toHaveLength(2 * COUNT);
      for (const { headers } of cdn.asked) expect(headers.authorization).toBeUndefined();
    } finally {
      await cdn.stop();
    }
  });

  it("of the Hub, refused: what a gated, a private and a missing repository need", async () => {
    vi.stubEnv("HF_ENDPOINT", server.origin);
    vi.stubEnv("HF_TOKEN", "");
    expect(((await failure("hf:o/r/m.gguf")) as Error).message).toBe(
      "hf:o/r/m.gguf: no such file (status 404); check owner, repository, file and revision",
    );
    expect(server.asked[0]?.headers.authorization).toBeUndefined();
    server.misbehave = (_, response) => {
      response.writeHead(401).end();
      return true;
    };
    expect(((await failure("hf:o/r/m.gguf")) as Error).message).toMatch(
      /status 401\); where the repository is private or gated/,
    );
  });
});
