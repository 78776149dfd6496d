import { expect, test } from "vitest";
import type { Engine, LoadedModel } from "../../src/engine/engine.ts";
import { createLoadedModels, type ModelToLoad } from "../../src/evaluate/loaded-models.ts";
import { testBench } from "../bench.ts";

const modelOf = (path: string, fileBytes: number): ModelToLoad => ({ open: { path, fileBytes } });
const [F16, Q4, Q3] = [modelOf("f16", 100), modelOf("q4", 30), modelOf("q3", 20)];

function opened(bytes: number) {
  const said: string[] = [];
  const library = {
    async load({ model }: { readonly model: string }) {
      said.push(`+${model}`);
      return { vocabSize: 8, close: async () => void said.push(`-${model}`) } as unknown as LoadedModel;
    },
  };
  const bench = testBench({ library } as unknown as Engine);
  return { said, models: createLoadedModels({ context: 8, vocabSize: 8 }, bench, bytes) };
}

test("models that fit the memory together stay loaded, others give way to the one that is needed", async () => {
  const { said, models } = opened(150);
  for (const open of [F16, Q4, F16, Q3, Q4]) await models.get(open);
  expect(said).toEqual(["+f16", "+q4", "+q3"]);
  await models.close();
  expect(said.slice(3).sort()).toEqual(["-f16", "-q3", "-q4"]);
});

test("what was unused longest is closed first, before the other is loaded, and never the model beside", async () => {
  const { said, models } = opened(120);
  for (const open of [F16, Q4, Q3, F16]) await models.get(open);
  expect(said).toEqual(["+f16", "-f16", "+q4", "+q3", "-q4", "+f16"]);
  said.length = 0;
  await models.get(Q4, F16);
  expect(said).toEqual(["-q3", "+q4"]);
});
