import { expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { FormatError } from "../../src/errors.ts";
import { scoreModel } from "../../src/evaluate/score-model.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { testBench } from "../bench.ts";
import { fakeModel } from "./fake-model.ts";

const OPEN = { path: "broken.gguf", fileBytes: 1000, bpw: 4 } as OpenModel;
const TOKENS = { context: 16, chunks: 4, ids: new Int32Array(64) };

function score(options: Parameters<typeof fakeModel>[0]) {
  const reference = { loaded: fakeModel() };
  return scoreModel(OPEN, fakeModel(options), TOKENS, reference, testBench({} as Engine));
}

test("figures that a document can't hold are refused by the model that gave them", async () => {
  await expect(score({ nll: 800 })).rejects.toThrow(FormatError);
  await expect(score({ nll: 800 })).rejects.toThrow(
    "broken.gguf: what the model puts out is no measure of anything: ppl.value: expected a number, got Infinity; weights or scales are damaged: convert or quantize it again",
  );
  await expect(score({ kld: () => 101 })).rejects.toThrow(
    /broken\.gguf: .*kld\.mean: expected a number of at most 100/,
  );
  expect((await score({})).evaluation.ppl.value).toBeCloseTo(Math.exp(2));
});
