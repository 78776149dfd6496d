import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type NewKeyValue, type NewTensor, writeGguf } from "../../src/gguf/writer.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { runnableGguf } from "../fixtures/runnable.ts";
import { hostileAnalysis, RAW } from "../plan/hostile.ts";
import { uniformSensitivity } from "../plan/synthetic-analysis.ts";
import { prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
afterAll(folder.remove);
// kernels would be compiled
const run = (...args: string[]) => prism(args, folder.path, { PRISM_ISA: "none" });

/** A model with these names beside its own. */
async function writeModel(file: string, name: string, tensorNames: readonly string[]): Promise<string> {
  const { keyValues, tensors, ...rest } = runnableGguf("llama");
  const shown: NewKeyValue = { key: "general.name", type: "string", value: name };
  const like = tensors.find((tensor) => tensor.name === "blk.0.attn_q.weight") as NewTensor;
  const more = tensorNames.map((tensorName) => ({ ...like, name: tensorName }));
  await writeGguf(join(folder.path, file), {
    ...rest,
    keyValues: [...keyValues.filter(({ key }) => key !== "general.name"), shown],
    tensors: [...tensors, ...more],
  });
  return file;
}

describe("hostile names on the command line", () => {
  it("reach neither the terminal nor the JSON as they are", async () => {
    const { model, ...rest } = hostileAnalysis(3);
    const analysis = { ...rest, model: { ...model, path: "\u009b2J\u202e.gguf" } };
    const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value: 4 } });
    await writeFile(join(folder.path, "plan\u202e\u001b[2J.json"), serializePlan(plan));
    const names = plan.tensors.slice(-20).map(({ name }) => name);
    const file = await writeModel("model.gguf", "\u001b]0;owned\u0007\u202e\u009b", names);
    const calls = [
      ["show", "plan\u202e\u001b[2J.json"],
      ["show", "plan\u202e\u001b[2J.json", "--json"],
      ["inspect", file],
      ["inspect", file, "--json"],
      ["quantize", "plan\u202e\u001b[2J.json"],
    ];
    for (const call of calls) {
      const { stdout, stderr } = await run(...call);
      expect(RAW.exec(stdout)?.[0], call.join(" ")).toBeUndefined();
      expect(RAW.exec(stderr)?.[0], call.join(" ")).toBeUndefined();
      if (call.includes("--json")) expect(() => JSON.parse(stdout)).not.toThrow();
    }
    const shown = await run("show", "plan\u202e\u001b[2J.json", "--json");
    expect(JSON.parse(shown.stdout).tensors).toEqual(JSON.parse(serializePlan(plan)).tensors);
  });

  it("are refused in a header where llama.cpp could not take them, or a terminal", async () => {
    for (const [name, message] of [
      ["a\u009b31m.weight", /the name of tensor \d+ holds control characters/],
      ["a\u0085.weight", /holds control characters/],
      ["a\n.weight", /holds control characters/],
      [`${"x".repeat(57)}.weight`, /has 64 bytes, expected at most 63/],
    ] as const) {
      const { code, stderr } = await run("inspect", await writeModel("refused.gguf", "x", [name]));
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(message) });
      expect(RAW.exec(stderr)).toBeNull();
    }
  });

  it("are planned with where a model is called longer than a document holds, and patterns are not so long", async () => {
    const file = await writeModel("long.gguf", "n".repeat(100_000), []);
    const analyzed = await run("analyze", file, "-o", "a.json", "--backend", "reference");
    expect(analyzed.code).toBe(0);
    expect(await run("plan", "a.json", "--bpw", "5")).toMatchObject({ code: 0 });
    const pinned = await run("plan", "a.json", "--bpw", "5", "--pin", `${"x".repeat(4001)}=Q8_0`);
    expect(pinned).toMatchObject({ code: 2, stderr: expect.stringContaining("expected at most 4000") });
  });
});
