import { afterEach, expect, it } from "vitest";
import { BackendError } from "../../src/errors.ts";
import { nativeBackendProblem } from "../../src/kernels/native.ts";
import { followDescription, openBackend } from "../../src/kernels/open-backend.ts";

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
  const say = (text: string) => notes.push(text);
  const backend = { name: "webgpu" as const, description: "a GPU" };
  const note = followDescription(backend);
  note(say);
  backend.description = "a GPU; the GPU was lost (reset), native goes on";
  note(say);
  expect(notes).toEqual(["! backend webgpu: a GPU; the GPU was lost (reset), native goes on"]);
});
