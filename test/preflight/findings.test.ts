import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openModel } from "../../src/gguf/open.ts";
import { examineModel, openingFinding } from "../../src/preflight/examine-model.ts";
import { FINDING_CODES, type Finding, type FindingCode } from "../../src/preflight/finding-codes.ts";
import { headerFindings } from "../../src/preflight/preflight.ts";
import { ARCHITECTURE_NAMES, whyNoHoles, writeArchitecture } from "../fixtures/architectures.ts";
import { DAMAGED } from "../fixtures/damaged.ts";
import { RUNNABLE_KINDS, type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-findings-"));
const noHoles = await whyNoHoles(dir);
afterAll(() => rm(dir, { recursive: true, force: true }));

async function findingsOf(path: string): Promise<readonly Finding[]> {
  const file = await openModel(path).catch((error: unknown) => openingFinding(error));
  if (file === undefined) throw new Error(`${path} can't be opened`);
  if ("code" in file) return [file];
  try {
    return await examineModel(file);
  } finally {
    await file.close();
  }
}

/** Codes of what is wrong; without a chat template most fixtures are base models. */
const wrong = (findings: readonly Finding[]) =>
  findings.filter(({ severity }) => severity !== "info").map(({ code }) => code);

/** Wrong by their nature: each of these has its code. */
const UNHEALTHY: Partial<Record<RunnableKind, FindingCode>> = {
  align64: "alignment-not-32",
  clip: "projector",
  "qwen3vl-mmproj": "projector",
  "causal-reranker": "rank-markers-absent",
  "causal-reranker-untied": "rank-markers-absent",
  "causal-qwen3vl-reranker": "rank-markers-absent",
  "jina-reranker": "reranker-known-wrong",
};

describe("every code", () => {
  // what the engine alone knows: test/intake/engine-findings.test.ts
  it.each((Object.keys(DAMAGED) as FindingCode[]).filter((code) => code !== "engine-refuses"))(
    "%s fires on its own file",
    async (code) => {
      const folder = join(dir, code);
      await mkdir(folder);
      const found = await findingsOf(await DAMAGED[code](folder));
      const own = found.find((finding) => finding.code === code);
      expect(own?.severity).toBeOneOf([...FINDING_CODES[code].severities]);
      expect(own?.message.length).toBeGreaterThan(10);
      expect(own?.remedy.length).toBeGreaterThan(10);
      expect(wrong(found).filter((other) => other !== code)).toEqual([]);
      await rm(folder, { recursive: true });
    },
  );

  it.each(RUNNABLE_KINDS)("%s has nothing wrong but what it is made for", async (kind) => {
    const expected = UNHEALTHY[kind];
    expect(wrong(await findingsOf(await writeRunnable(kind, dir)))).toEqual(expected === undefined ? [] : [expected]);
  });

  it("the bundled model has no error and no warning", async () => {
    expect(wrong(await findingsOf("models/books-llama-8m-f16.gguf"))).toEqual([]);
  });

  it.skipIf(noHoles !== undefined).each([...ARCHITECTURE_NAMES])("%s has nothing wrong in its header", async (name) => {
    const path = await writeArchitecture(name, dir);
    const file = await openModel(path);
    const found = headerFindings(file.model);
    await file.close();
    await rm(path);
    // a small vocabulary stands in for the model's own
    const expected = ["already-quantized", "vocabulary-rows", "tensor-shape"];
    expect(wrong(found).filter((code) => !expected.includes(code))).toEqual([]);
  });
});
