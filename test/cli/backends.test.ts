import { afterEach, expect, it } from "vitest";
import { followDescription, openBackend } from "../../src/cli/backends.ts";
import { BackendError } from "../../src/errors.ts";
import { nativeBackendProblem } from "../../src/kernels/native.ts";

const { VK_ICD_FILENAMES } = process.env;
afterEach(() => {
  if (VK_ICD_FILENAMES === undefined) delete process.env.VK_ICD_FILENAMES;
  else process.env.VK_ICD_FILENAMES = VK_ICD_FILENAMES;
});

it.skipIf(process.platform !== "linux")("auto is the processor's backend where there is no GPU", async () => {
  process.env.VK_ICD_FILENAMES = "/nonexistent.json";
  const backend = await openBackend("auto", 1);
  expect(backend.name).toBe(nativeBackendProblem() === undefined ? "native" : "reference");
  await backend.close();
});

it.skipIf(process.platform !== "linux")("a backend asked for by name that can't be used is an error", async () => {
  process.env.VK_ICD_FILENAMES = "/nonexistent.json";
  const opened = openBackend("webgpu", 1);
  await expect(opened).rejects.toThrow(BackendError);
  await expect(opened).rejects.toThrow(/^--backend webgpu: .*; .*, or leave --backend out$/);
  await expect(opened).rejects.toMatchObject({ exitCode: 4 });
});

it("each name gives the backend of that name", async () => {
  for (const name of ["reference", "tfjs"]) {
    const backend = await openBackend(name, 1);
    expect(backend.name).toBe(name);
    await backend.close();
  }
});

it("says afterwards what changed, and nothing otherwise", () => {
  const notes: string[] = [];
  const output = { note: (text: string) => notes.push(text) };
  const backend = { name: "webgpu" as const, description: "a GPU" };
  const note = followDescription(backend);
  note(output);
  backend.description = "a GPU; the GPU was lost (reset), native goes on";
  note(output);
  expect(notes).toEqual(["! backend webgpu: a GPU; the GPU was lost (reset), native goes on"]);
});
