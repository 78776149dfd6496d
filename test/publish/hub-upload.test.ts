import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SILENT } from "../../src/bench.ts";
import { hubAddress, hubToken } from "../../src/publish/hub-access.ts";
import { type UploadFile, uploadFiles, uploadState } from "../../src/publish/hub-upload.ts";
import { describeOutput } from "../../src/quantize/outputs.ts";
import { READER, StandInHub, TOKEN } from "./stand-in-hub.ts";

let hub: StandInHub;
let folder: string;
let files: UploadFile[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "prism-upload-"));
  hub = new StandInHub();
  await hub.listen();
  const contents: [string, Buffer][] = [
    ["a-Q4_K_M.gguf", randomBytes(12e6)],
    ["b-Q3_K_M.gguf", randomBytes(11e6)],
    ["own/plan.json", Buffer.from('{"plan": 1}\n')],
    ["README.md", Buffer.from("# a card\n")],
  ];
  files = [];
  for (const [publishAs, content] of contents) {
    const path = join(folder, publishAs.replace("/", "-"));
    writeFileSync(path, content);
    files.push({ ...(await describeOutput(path)), publishAs });
  }
});
afterEach(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});

const target = (revision = "main") => ({ hubUrl: hub.url, repository: "me/Tiny-GGUF", revision });
const options = (token = TOKEN, isPrivate = false, retryAfterMs: readonly number[] = []) => ({
  token,
  isPrivate,
  signal: new AbortController().signal,
  progress: SILENT,
  retryAfterMs,
});
async function uploadAll(to = target(), how = options()): Promise<string[]> {
  return uploadFiles(files, await uploadState(files, to, how), to, how);
}

describe("an upload", () => {
  it("makes the repository and puts every file there, large ones each in a commit", async () => {
    const commits = await uploadAll(target(), options(TOKEN, true));
    expect(commits).toHaveLength(3);
    expect(hub.repositories.get("me/Tiny-GGUF")?.isPrivate).toBe(true);
    const there = hub.files("me/Tiny-GGUF");
    expect([...there.keys()].sort()).toEqual(files.map(({ publishAs }) => publishAs).sort());
    expect(there.get("a-Q4_K_M.gguf")?.lfs?.oid).toBe(files[0]?.sha256);
    expect(hub.objects.size).toBe(2);
  });

  it("in parts arrives whole, and a storage that is busy for a moment is asked again", async () => {
    hub.partBytes = 5e6;
    hub.refusals.push(503);
    await uploadAll(target(), options(TOKEN, false, [0]));
    expect(hub.objects.get(files[0]?.sha256 ?? "")?.length).toBe(12e6);
    expect(hub.requests.filter((line) => line.startsWith("PUT"))).toHaveLength(7);
  });

  it("that is cut says so, and the next one goes on where it was", async () => {
    hub.transfersLeft = 1;
    await expect(uploadAll()).rejects.toThrow(/me\/Tiny-GGUF: the connection failed .*the same command goes on/);
    expect([...hub.files("me/Tiny-GGUF").keys()]).toEqual(["a-Q4_K_M.gguf"]);
    hub.transfersLeft = Number.POSITIVE_INFINITY;
    hub.requests.length = 0;
    await uploadAll();
    expect(hub.requests.filter((line) => line.startsWith("PUT"))).toEqual([`PUT /storage/${files[1]?.sha256}`]);
    expect(hub.files("me/Tiny-GGUF").size).toBe(4);
    hub.requests.length = 0;
    expect(await uploadAll()).toEqual([]);
    expect(hub.requests.some((line) => /commit|PUT|create/.test(line))).toBe(false);
  });

  it("replaces what has changed alone", async () => {
    await uploadAll();
    const [first, ...others] = files;
    writeFileSync(first?.path ?? "", randomBytes(12e6));
    files = [{ ...(await describeOutput(first?.path ?? "")), publishAs: first?.publishAs ?? "" }, ...others];
    expect(await uploadAll()).toHaveLength(1);
    expect(hub.files("me/Tiny-GGUF").get("a-Q4_K_M.gguf")?.lfs?.oid).toBe(files[0]?.sha256);
  });

  it("makes a branch that is missing", async () => {
    await uploadAll(target("dev"));
    expect(hub.files("me/Tiny-GGUF", "dev").size).toBe(4);
    expect(hub.files("me/Tiny-GGUF").size).toBe(0);
  });

  it("of a file that changes meanwhile is noticed", async () => {
    const [, , plan] = files;
    files = files.map((file) => (file === plan ? { ...file, sha256: "0".repeat(64), fileBytes: 3 } : file));
    await expect(uploadAll()).rejects.toThrow(/own\/plan.json is not this file/);
  });

  it("is ended by a signal", async () => {
    const controller = new AbortController();
    const how = { ...options(), signal: controller.signal };
    const state = await uploadState(files, target(), how);
    controller.abort();
    await expect(uploadFiles(files, state, target(), how)).rejects.toThrow(/abort/i);
    expect(hub.objects.size).toBe(0);
  });
});

describe("what the Hub refuses", () => {
  it("is said without the token", async () => {
    const unknown = "hf_nobodyKnowsThis";
    const refused = uploadAll(target(), options(unknown));
    await expect(refused).rejects.toThrow(/does not take the token \(status 401\)/);
    await expect(uploadAll(target(), options(READER))).rejects.toThrow(/may not write there \(status 403\)/);
    for (const token of [unknown, READER]) {
      const error = await uploadAll(target(), options(token)).catch((thrown: Error) => thrown.message);
      expect(error).not.toContain(token);
    }
  });

  it("a public repository where a private one was asked for", async () => {
    await uploadAll();
    await expect(uploadAll(target(), options(TOKEN, true))).rejects.toThrow(/already and public/);
  });

  it("nobody there", async () => {
    await expect(uploadAll({ ...target(), hubUrl: "http://127.0.0.1:9" })).rejects.toThrow(/the connection failed/);
  });
});

describe("the token and the address", () => {
  it("are HF_TOKEN's and HF_ENDPOINT's, or the file's that the Hub's own tools write", async () => {
    writeFileSync(join(folder, "token"), `${READER}\n`);
    expect(await hubToken({ HF_TOKEN: ` ${TOKEN}\n`, HF_HOME: folder })).toBe(TOKEN);
    expect(await hubToken({ HF_HOME: folder })).toBe(READER);
    expect(await hubToken({ HF_TOKEN_PATH: join(folder, "token") })).toBe(READER);
    expect(await hubToken({ HF_HOME: join(folder, "none") })).toBeUndefined();
    expect(hubAddress(undefined, {})).toBe("https://huggingface.co");
    expect(hubAddress(undefined, { HF_ENDPOINT: "https://mirror/" })).toBe("https://mirror");
    expect(hubAddress("http://localhost:3/", { HF_ENDPOINT: "https://mirror/" })).toBe("http://localhost:3");
  });

  it("are refused where they are none, or would go out in the clear", async () => {
    const wrong = await hubToken({ HF_TOKEN: "secret words" }).catch((error: Error) => error.message);
    expect(wrong).toMatch(/begins with hf_/);
    expect(wrong).not.toContain("secret");
    expect(() => hubAddress("http://mirror.example", {})).toThrow(/unencrypted/);
    expect(() => hubAddress("mirror", {})).toThrow(/--hub-url/);
  });
});
