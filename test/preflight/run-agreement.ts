/**
 * `npm run agreement -- --fixtures 100 --architectures 10 --seed 1`: mutate headers, ask preflight and the embedded engine
 * of each, print what they disagree on, and count. Ends with 1 where they do.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { createRandom, seedFromName } from "../../src/random.ts";
import { askBoth } from "./agreement.ts";
import { ARCHITECTURES, type Base, FIXTURES } from "./agreement-bases.ts";
import { mutate } from "./header-mutations.ts";

const { values } = parseArgs({
  options: {
    fixtures: { type: "string", default: "20" },
    architectures: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
  },
});
const dir = await mkdtemp(join(tmpdir(), "prism-agreement-"));
const engine = await openEmbeddedEngine({ threads: 1 });
let disagreements = 0;

for (const [label, bases, each] of [
  ["fixtures", FIXTURES, Number(values.fixtures)],
  ["architectures", ARCHITECTURES, Number(values.architectures)],
] as const) {
  const count = { files: 0, refused: 0, loaded: 0, missed: 0, falselyRefused: 0, noRoom: 0 };
  for (const base of bases) await mutateBase(base, each, count);
  console.log(label, JSON.stringify(count));
  disagreements += count.missed + count.falselyRefused;
}
await engine.close();
await rm(dir, { recursive: true });
process.exitCode = disagreements > 0 ? 1 : 0;

async function mutateBase([name, make]: Base, each: number, count: Record<string, number>): Promise<void> {
  const base = make();
  const random = createRandom(seedFromName(name, Number(values.seed)));
  const add = (what: string) => {
    count[what] = (count[what] ?? 0) + 1;
  };
  for (let index = 0; index < each; index++) {
    const { what, gguf } = mutate(base, random);
    const path = join(dir, "mutated.gguf");
    await writeGguf(path, gguf);
    add("files");
    try {
      const { preflight, engine: refusal } = await askBoth(path, engine.library);
      if (preflight.length > 0 === (refusal !== undefined)) add(refusal === undefined ? "loaded" : "refused");
      else {
        add(refusal === undefined ? "falselyRefused" : "missed");
        console.log(
          `${name}: ${what}: preflight says ${preflight.join("; ") || "nothing"}, the engine ${refusal ?? "nothing"}`,
        );
      }
    } catch (error) {
      // a size for which no machine has memory is no verdict
      add("noRoom");
      console.log(`${name}: ${what}: ${(error as Error).message}`);
    }
  }
}
