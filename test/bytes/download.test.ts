import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type DownloadOptions, downloadFile } from "../../src/bytes/download.ts";
import { locate } from "../../src/bytes/location.ts";
import { createRandom } from "../../src/random.ts";
import { type Asked, RangeServer } from "./range-server.ts";

const random = createRandom(7);
const bytes = Uint8Array.from({ length: 9 << 20 }, () => Math.floor(random() * 256));
const SHA256 = createHash("sha256").update(bytes).digest("hex");

let server: RangeServer;
let dir: string;
const scratch = mkdtempSync(join(tmpdir(), "prism-download-"));
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
  dir = mkdtempSync(join(scratch, "to-"));
});

const place = () => join(dir, "model.gguf");
async function download(options: DownloadOptions = {}) {
  const { http } = locate(`${server.origin}/model.gguf`);
  if (http === undefined) throw new Error("expected a remote name");
  return downloadFile(http, place, { retryBaseMs: 1, ...options });
}

/** As the Hub redirects to where large files lie. */
const stating = (sha256: string) => (asked: Asked, response: ServerResponse) => {
  if (asked.url !== "/model.gguf") return false;
  response.writeHead(302, {
    location: "/model.gguf?there",
    "x-linked-etag": `"${sha256}"`,
    "x-linked-size": String(bytes.length),
    "x-repo-commit": "0123456789abcdef0123456789abcdef01234567",
  });
  response.end();
  return true;
};

describe("a download", () => {
  it("has the server's bytes, and asks for them once", async () => {
    const steps: number[] = [];
    const fetched = await download({ onProgress: (done) => steps.push(done) });
    expect(fetched).toMatchObject({ path: place(), sha256: SHA256 });
    expect(createHash("sha256").update(readFileSync(place())).digest("hex")).toBe(SHA256);
    expect(steps.at(-1)).toBe(bytes.length);
    const asked = server.askedBytes;
    expect(asked).toBeLessThan(bytes.length + (5 << 20));
    expect(readdirSync(dir)).toEqual(["model.gguf"]);
    await download();
    expect(server.askedBytes - asked).toBeLessThan(5 << 20);
  });

  it("goes on where it was interrupted", async () => {
    server.misbehave = ({ first }, response) => {
      if (first < 8 << 20) return false;
      response.writeHead(403).end("no more");
      return true;
    };
    await expect(download()).rejects.toThrow(/403/);
    expect(existsSync(place())).toBe(false);
    const [part = ""] = readdirSync(dir);
    expect(part).toMatch(/\.part$/);
    const got = readFileSync(join(dir, part)).length;
    expect(got).toBeGreaterThanOrEqual(4 << 20);
    server.reset();
    await expect(download()).resolves.toMatchObject({ sha256: SHA256 });
    expect(Math.min(...server.asked.slice(1).map(({ first }) => first))).toBeGreaterThanOrEqual(got);
  });

  it("is held against the SHA-256 that the server states", async () => {
    server.misbehave = stating(SHA256);
    await expect(download()).resolves.toMatchObject({
      sha256: SHA256,
      commit: "0123456789abcdef0123456789abcdef01234567",
    });
    rmSync(place());
    const other = "0".repeat(64);
    server.misbehave = stating(other);
    await expect(download()).rejects.toThrow(`what was fetched has SHA-256 ${SHA256}, the server states ${other}`);
    expect(readdirSync(dir)).toEqual([]);
  });

  it("fetches again what stands there damaged, and says so", async () => {
    server.misbehave = stating(SHA256);
    writeFileSync(place(), "something else");
    const notes: string[] = [];
    await expect(download({ onNote: (note) => notes.push(note) })).resolves.toMatchObject({ sha256: SHA256 });
    expect(notes).toEqual([`${place()} is not what the server has: fetched again`]);
  });
});
