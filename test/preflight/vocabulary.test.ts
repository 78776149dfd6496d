import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openEngine } from "../../src/engine/open-engine.ts";
import { EngineError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { effectOf, type Finding } from "../../src/preflight/finding-codes.ts";
import { headerFindings } from "../../src/preflight/preflight.ts";
import { DAMAGED } from "../fixtures/damaged.ts";
import { writeWithVocabulary } from "../fixtures/vocabularies.ts";
import { VOCABULARY_CASES } from "../fixtures/vocabulary-cases.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-vocabulary-"));
const engine = await openEngine({ threads: 1 });
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

/** A text that every vocabulary has tokens for. */
const TEXT = "hello";

/** What llama.cpp says of a model that it refuses, or ends its process on, as it is loaded and tokenizes a text. */
async function refusal(model: string, text: string | undefined): Promise<string | undefined> {
  const { library } = engine;
  if (library === undefined) throw new Error("no library");
  try {
    const ranker = await library.loadRanker({ model, threads: 1, gpuLayers: 0, signal: new AbortController().signal });
    if (text !== undefined) await ranker.encode([text], { addSpecial: true, parseSpecial: false });
    await ranker.close();
    return undefined;
  } catch (error) {
    if (error instanceof EngineError) return error.message;
    throw error;
  }
}

async function allFound(path: string): Promise<readonly Finding[]> {
  const file = await openModel(path);
  const findings = headerFindings(file.model);
  await file.close();
  return findings;
}

async function found(path: string, severity: string): Promise<string[]> {
  return (await allFound(path)).filter((finding) => finding.severity === severity).map(({ code }) => code);
}

it("preflight finds kinds of tokens that are counted wrong, where llama.cpp refuses them", async () => {
  const path = await DAMAGED["token-kind-rows"](dir);
  expect(await found(path, "error")).toEqual(["token-kind-rows"]);
  expect(await refusal(path, TEXT)).toBeDefined();
});

describe("preflight finds an error in a vocabulary where llama.cpp refuses it, and nowhere else", () => {
  it.each(VOCABULARY_CASES)("%s", async (_, { kind, edit, error, warning, endsOn, isTextless, neverLoads }) => {
    const path = await writeWithVocabulary(join(dir, "vocabulary.gguf"), kind, edit);
    expect(await found(path, "error")).toEqual(error === undefined ? [] : [error]);
    expect(await found(path, "warning")).toEqual(warning === undefined ? [] : [warning]);
    if (neverLoads) return;
    const refused = await refusal(path, isTextless ? undefined : TEXT);
    if (error === undefined) {
      expect(refused).toBeUndefined();
      expect((await allFound(path)).map(effectOf)).not.toContain("refused");
    } else expect(refused).toBeDefined();
    if (isTextless) expect(await refusal(path, TEXT)).toBeDefined();
    if (endsOn !== undefined) expect(await refusal(path, endsOn)).toBeDefined();
  });
});
