/** A folder with a model and a text on paper, a run's directory in it for each test, and runs with small requests. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";
import type { Bench } from "../../src/bench.ts";
import { run } from "../../src/run/run.ts";
import type { RunRequest } from "../../src/run/run-request.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { type PaperEngine, paperBench } from "./paper-engine.ts";
import { writePaperSource } from "./paper-source.ts";

export interface PaperPlace {
  dir: string;
  model: string;
  text: string;
  /** Of the run; a new one for each test. */
  out: string;
  newOut(): Promise<string>;
  /** Run `source`, by default the model, on a paper bench. */
  runOn(
    engine: PaperEngine,
    more?: Partial<RunRequest>,
    bench?: { source?: string } & Partial<Bench>,
  ): ReturnType<typeof run>;
}

/** Call it at the top of a test file: it registers hooks. The text is a sentence of 45 characters, `sentences` times. */
export function paperPlace(sentences: number, usual: Partial<RunRequest>): PaperPlace {
  const place: PaperPlace = {
    dir: "",
    model: "",
    text: "",
    out: "",
    newOut: async () => join(await mkdtemp(join(place.dir, "case-")), "run"),
    runOn(engine, more = {}, { source = place.model, ...bench } = {}) {
      const request: RunRequest = {
        out: place.out,
        budget: { kind: "like", fileType: "Q4_K_M" },
        sensitivity: { name: "uniform", of: uniformSensitivity },
        text: place.text,
        context: 16,
        imatrix: "none",
        feedback: "off",
        speed: "off",
        // a model on paper lacks what llama.cpp wants of one
        forceFindings: true,
        ...usual,
        ...more,
      };
      return run(source, request, paperBench(engine, bench));
    },
  };
  beforeAll(async () => {
    place.dir = await mkdtemp(join(tmpdir(), "prism-run-"));
    place.model = await writePaperSource(join(place.dir, "model.gguf"));
    place.text = join(place.dir, "text.txt");
    await writeFile(place.text, "The quick brown fox jumps over the lazy dog. ".repeat(sentences));
  });
  afterAll(() => rm(place.dir, { recursive: true, force: true }));
  beforeEach(async () => {
    place.out = await place.newOut();
  });
  return place;
}
