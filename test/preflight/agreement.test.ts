import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { loadableArchitectures } from "../../src/loaders/loader-table.ts";
import { createRandom, seedFromName } from "../../src/random.ts";
import { TINY_ARCHITECTURES, writeTiny } from "../fixtures/tiny-models.ts";
import { askBoth } from "./agreement.ts";
import { FIXTURES } from "./agreement-bases.ts";
import { mutate } from "./header-mutations.ts";

const SEED = 16;
/** More with `npm run agreement`. */
const MUTATIONS = 4;

const dir = await mkdtemp(join(tmpdir(), "prism-agreement-"));
const engine = await openEmbeddedEngine({ threads: 1 });
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

describe("what the tables say of each architecture", () => {
  it("is there for all that llama.cpp loads, and only of plm no model can be made", () => {
    expect(loadableArchitectures().filter((arch) => !TINY_ARCHITECTURES.has(arch))).toEqual(["plm"]);
    expect(loadableArchitectures()).toHaveLength(150);
  });

  it.each([...TINY_ARCHITECTURES])("makes a %s that llama.cpp loads", async (arch) => {
    const path = await writeTiny(arch, dir);
    const verdict = await engine.library.tryLoad({ model: path, decode: false, threads: 1 });
    await rm(path);
    expect(verdict).toEqual({ loads: true });
  });
});

describe("a header with one thing wrong", () => {
  it.each(FIXTURES)("of %s is refused by preflight and engine alike", { timeout: 60_000 }, async (name, make) => {
    const base = make();
    const random = createRandom(seedFromName(name, SEED));
    const path = join(dir, `${name}.gguf`);
    for (let index = 0; index < MUTATIONS; index++) {
      const { what, gguf } = mutate(base, random);
      await writeGguf(path, gguf);
      const { preflight, engine: refusal } = await askBoth(path, engine.library);
      const said = `${what}: preflight ${preflight.join("; ")}, engine ${refusal}`;
      expect(preflight.length > 0, said).toBe(refusal !== undefined);
    }
  });
});
