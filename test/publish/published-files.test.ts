import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseGGUFQuantLabel } from "@huggingface/gguf";
import { afterEach, beforeEach, expect, it } from "vitest";
import { publishedFiles } from "../../src/publish/published-files.ts";
import { renderCard } from "../../src/report/card/render-card.ts";
import { runDirectory } from "../../src/run/run-state.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";

const { plan, run } = runInMemory();
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "prism-published-"));
  mkdirSync(join(folder, "models"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (...names: string[]) => {
  for (const name of names) writeFileSync(join(folder, "models", name), name);
};
async function models(taken: readonly string[] = []) {
  const { files } = await publishedFiles({ run, plan, directory: runDirectory(folder), folder: "", taken });
  return files.filter(({ kind }) => kind === "model");
}

it("a model in parts is published in parts of one name and tag, and the card fetches all of them", async () => {
  write("plan-00001-of-00002.gguf", "plan-00002-of-00002.gguf", "plan-feedback-00001-of-00001.gguf");
  const files = await models();
  const names = files.map(({ publishAs }) => publishAs);
  const [first = "", second = ""] = names;
  expect(names).toHaveLength(2);
  expect(first).toMatch(/^Tiny-PRISM-[\d.]+bpw-\w+-00001-of-00002\.gguf$/);
  expect(second).toBe(first.replace("00001-of", "00002-of"));
  expect(new Set(files.map(({ tag }) => tag))).toEqual(new Set([parseGGUFQuantLabel(second)]));
  const card = renderCard([{ run, plan, files }], undefined, { repository: "me/Tiny-GGUF" });
  expect(card).toContain(`hf download me/Tiny-GGUF ${first} ${second} --local-dir .`);
  expect(card).toContain(`llama-server -m ${first}`);
  expect(card).toContain(`llama-cli -hf me/Tiny-GGUF:${files[0]?.tag}`);
  // the Hub has no parts for Ollama, and llama-quantize makes the whole file
  expect(card).not.toContain("ollama");
  expect(card).toContain(`out='${first.replace(/-00001-of-00002/, "")}'`);
});

it("is published whole where it is whole, and not at all where a part is gone", async () => {
  write("plan.gguf", "plan-00001-of-00002.gguf");
  expect((await models()).map(({ path }) => path)).toEqual([join(folder, "models", "plan.gguf")]);
  rmSync(join(folder, "models", "plan.gguf"));
  expect(await models()).toEqual([]);
  write("plan-00003-of-00003.gguf", "plan-00002-of-00003.gguf");
  expect(await models()).toEqual([]);
});
