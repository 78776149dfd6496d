import { appendFile, copyFile, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileExists } from "../../src/disk/aside-file.ts";
import { paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(60, { refine: "none" });

describe("a run that is disturbed", () => {
  it("by another one in its directory, which is refused and told who is there", async () => {
    const runs = await Promise.allSettled([place.runOn(paperEngine()), place.runOn(paperEngine())]);
    expect(runs.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const refused = runs.find((run) => run.status === "rejected") as PromiseRejectedResult;
    expect(refused.reason.message).toContain(`in use by process ${process.pid} on `);
    expect(await fileExists(join(place.out, "run.lock"))).toBe(false);
  });

  it("by another model in place of its own: it reports nothing of the mixture", async () => {
    const source = join(place.dir, "replaced.gguf");
    await copyFile(place.model, source);
    let replaced = false;
    const steps = (text: string) => {
      if (replaced || !text.startsWith("evaluating")) return;
      replaced = true;
      swap = copyFile(place.model, `${source}.new`).then(() => rename(`${source}.new`, source));
    };
    let swap: Promise<void> = Promise.resolve();
    const run = place.runOn(paperEngine(), {}, { source, progress: { note: () => undefined, steps } });
    await expect(run).rejects.toThrow("replaced.gguf: was replaced by another file while PRISM worked with it");
    await swap;
    const state = JSON.parse(await readFile(join(place.out, "state.json"), "utf8"));
    expect(state.finishedAt).toBeUndefined();
    await rm(source);
  });

  it("by another text in place of its own: it reports nothing of both", async () => {
    const text = join(place.dir, "changing.txt");
    await copyFile(place.text, text);
    let done: Promise<void> | undefined;
    const steps = (said: string) => {
      if (said.startsWith("evaluating")) done ??= appendFile(text, "And once more.");
    };
    const run = place.runOn(paperEngine(), { text }, { progress: { note: () => undefined, steps } });
    await expect(run).rejects.toThrow("changing.txt: was changed while the run read it");
    await done;
  });

  it("by a source of other content when it goes on: it is refused", async () => {
    const source = join(place.dir, "changed.gguf");
    await copyFile(place.model, source);
    await place.runOn(paperEngine(), {}, { source });
    const bytes = await readFile(source);
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] as number) ^ 1;
    await writeFile(source, bytes);
    await expect(place.runOn(paperEngine(), {}, { source })).rejects.toThrow(/asked something else: the model was/);
  });
});
