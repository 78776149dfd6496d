import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Campaign } from "../../src/shard/campaign-document.ts";
import { RangeServer } from "../bytes/range-server.ts";
import { prism, scratchFolder } from "../cli/prism.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

const TOKEN = "hf_secretOfAWorker";
const folder = scratchFolder();
const at = (name: string) => join(folder.path, name);

let server: RangeServer;
let path: string;
let bytes: Buffer;
beforeAll(async () => {
  path = await writeRunnable("llama", folder.path);
  bytes = readFileSync(path);
  server = await RangeServer.start();
});
beforeEach(() => {
  server.reset();
  server.files.set("/o/r/resolve/main/model.gguf", { bytes, etag: '"model"' });
  server.files.set("/model.gguf", { bytes, etag: '"model"' });
});
afterAll(async () => {
  await server.stop();
  folder.remove();
});

/** A machine with a cache of its own. */
const on = (machine: string, ...args: string[]) =>
  prism([...args, "--quiet"], folder.path, {
    HF_ENDPOINT: server.origin,
    HF_TOKEN: TOKEN,
    PRISM_CACHE_DIR: at(machine),
  });

const timeless = (name: string) => readFileSync(at(name), "utf8").replaceAll(/"(createdAt|elapsedMs)":[^,}]*/g, "");

test("a model on the Hub is analyzed by machines that fetch their parts of it, with tokens of their own", async () => {
  const planned = await on("a", "shard", "plan", "hf:o/r/model.gguf", "--dir", "c", "--jobs", "3");
  expect([planned.code, planned.stderr]).toEqual([0, ""]);
  const asked: number[] = [];
  for (const index of ["0", "1", "2"]) {
    server.reset();
    expect(await on(`worker-${index}`, "shard", "run", "c", "--index", index)).toMatchObject({ code: 0, stderr: "" });
    expect(server.asked.every(({ headers }) => headers.authorization === `Bearer ${TOKEN}`)).toBe(true);
    asked.push(server.askedBytes);
  }
  // none of them fetched the file
  expect(Math.max(...asked)).toBeLessThan(bytes.length);
  expect((await on("b", "shard", "merge", "c", "-o", "merged.json")).code).toBe(0);
  expect((await on("d", "analyze", "hf:o/r/model.gguf", "-o", "whole.json")).code).toBe(0);
  expect(timeless("merged.json")).toBe(timeless("whole.json"));
  expect(readFileSync(at("c/campaign.json"), "utf8")).not.toContain(TOKEN);
});

test("another file under the same name is refused", async () => {
  await on("a", "shard", "plan", "hf:o/r/model.gguf", "--dir", "changed", "--jobs", "2");
  const other = Buffer.from(bytes);
  other[other.length - 9] = (other.at(-9) as number) ^ 1;
  server.files.set("/o/r/resolve/main/model.gguf", { bytes: other, etag: '"another"' });
  const run = await on("e", "shard", "run", "changed");
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/is not the model this campaign was planned for/);
});

test("an address with a signature in it is not written where others read", async () => {
  const planned = await on(
    "a",
    "shard",
    "plan",
    `${server.origin}/model.gguf?sig=hush`,
    "--dir",
    "signed",
    "--jobs",
    "2",
  );
  expect(planned.code).toBe(2);
  expect(planned.stderr).toMatch(/a campaign keeps no secrets/);
  expect(planned.stderr).not.toContain("hush");
  const plain = await on("a", "shard", "plan", `${server.origin}/model.gguf`, "--dir", "plain", "--jobs", "2");
  expect(plain.code).toBe(0);
  const { model } = JSON.parse(readFileSync(at("plain/campaign.json"), "utf8")) as Campaign;
  expect(model.file).toBe(`${server.origin}/model.gguf`);
  expect((await on("f", "shard", "run", "plain")).code).toBe(0);
});
