import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { protectInputs } from "../../src/intake/protect-inputs.ts";

const folder = mkdtempSync(join(tmpdir(), "prism-protect-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

it("protects every shard of a model that is named by its first", async () => {
  for (const number of [1, 2, 3]) writeFileSync(at(`m-0000${number}-of-00003.gguf`), "");
  const first = at("m-00001-of-00003.gguf");
  await expect(protectInputs([at("m-00003-of-00003.gguf")], [first])).rejects.toThrow(UsageError);
  await expect(protectInputs([at("m-00004-of-00003.gguf")], [first])).resolves.toBeUndefined();
});

it("refuses one name for two outputs", async () => {
  await expect(protectInputs([at("a.json"), at("b/../a.json")], [])).rejects.toThrow(/would be written twice/);
});
