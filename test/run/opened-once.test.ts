import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { openFileSource } from "../../src/bytes/source.ts";
import { run } from "../../src/run/run.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { paperBench, paperEngine } from "./paper-engine.ts";
import { writePaperSource } from "./paper-source.ts";

const opened = vi.hoisted((): string[] => []);
vi.mock("../../src/bytes/source.ts", async (original) => {
  const source = await original<{ openFileSource: typeof openFileSource }>();
  return {
    ...source,
    openFileSource(path: string) {
      // the engine on paper reads headers where llama.cpp would by itself
      if (!new Error().stack?.includes("paper-model")) opened.push(path);
      return source.openFileSource(path);
    },
  };
});

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-opened-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

it("a run with probes and controls opens the header of its source once", async () => {
  const model = await writePaperSource(join(dir, "model.gguf"));
  const text = join(dir, "text.txt");
  await writeFile(text, "The quick brown fox jumps over the lazy dog. ".repeat(60));
  const { rows } = await run(
    model,
    {
      out: join(dir, "run"),
      budget: { kind: "like", fileType: "Q4_K_M" },
      sensitivity: { name: "uniform", of: uniformSensitivity },
      refine: { probes: 12 },
      text,
      context: 16,
      imatrix: "none",
      feedback: "off",
      forceFindings: true,
    },
    paperBench(paperEngine()),
  );
  expect(rows.length).toBeGreaterThan(5);
  expect(opened.filter((path) => path === model)).toHaveLength(1);
  // what verifies an output, and what measures one
  expect(opened.length).toBeGreaterThan(rows.length);
});
