/** The files that a finished run leaves for a person to take away, with their hashes. */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { baseName } from "../base-name.ts";
import { FormatError } from "../errors.ts";
import type { Model } from "../gguf/model.ts";
import { copyProjectors, describeOutput, type OutputFile } from "../quantize/outputs.ts";
import type { Candidate } from "./candidates.ts";
import type { Run } from "./run-document.ts";
import type { RunDirectory } from "./run-state.ts";

/** The SHA-256 of each model when it was measured, by its path in the run's folder. */
export function measuredFiles(
  { rows, sweep }: Run,
  candidates: readonly Pick<Candidate, "label" | "slug">[],
): Map<string, string | undefined> {
  const pathOf = (slug: string) => join("models", `${slug}.gguf`);
  const slugs = new Map(candidates.map(({ label, slug }) => [label, slug]));
  return new Map([
    ...(sweep?.points ?? []).flatMap((point) =>
      [point, ...(point.feedback === undefined ? [] : [point.feedback])].map(
        ({ plan, sha256 }) => [pathOf(baseName(plan).replace(/\.json$/, "")), sha256] as const,
      ),
    ),
    ...rows.flatMap(({ label, sha256 }) => {
      const slug = slugs.get(label);
      return slug === undefined ? [] : [[pathOf(slug), sha256] as const];
    }),
  ]);
}

/**
 * Copy the model's projectors to its quantized files, and describe all models and plans; names start in the run's folder.
 * Throws FormatError for a model that is not the one that was measured.
 */
export async function collectOutputs(
  model: Pick<Model, "path" | "arch">,
  directory: RunDirectory,
  measured: ReadonlyMap<string, string | undefined>,
): Promise<OutputFile[]> {
  await copyProjectors(model, directory.models, true);
  const outputs: OutputFile[] = [];
  for (const folder of [directory.models, directory.plans]) {
    const names = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();
    for (const name of names) {
      const described = await describeOutput(join(folder, name));
      const output = { ...described, path: relative(directory.path, described.path) };
      const expected = measured.get(output.path);
      if (expected !== undefined && expected !== output.sha256) {
        throw new FormatError(
          described.path,
          `was replaced after it was measured: its SHA-256 is ${output.sha256}, when it was measured ${expected}; delete it and run the same again`,
        );
      }
      outputs.push(output);
    }
  }
  return outputs;
}
