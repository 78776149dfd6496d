/** The models whose headers are mutated: every fixture, and a tiny model of every architecture that llama.cpp loads. */

import type { NewGguf } from "../../src/gguf/writer.ts";
import { loadableArchitectures } from "../../src/loaders/loader-table.ts";
import { RUNNABLE_KINDS, type RunnableKind, runnableGguf } from "../fixtures/runnable.ts";
import { TINY_ARCHITECTURES, tinyGguf } from "../fixtures/tiny-models.ts";

export type Base = readonly [name: string, make: () => NewGguf];

/** Projectors are no models, and shards are looked at as such elsewhere. */
const LEFT_OUT: ReadonlySet<RunnableKind> = new Set(["clip", "qwen3vl-mmproj", "split"]);

export const FIXTURES: readonly Base[] = RUNNABLE_KINDS.filter((kind) => !LEFT_OUT.has(kind)).map((kind) => [
  kind,
  () => runnableGguf(kind),
]);

export const ARCHITECTURES: readonly Base[] = loadableArchitectures()
  .filter((arch) => TINY_ARCHITECTURES.has(arch))
  .map((arch) => [arch, () => tinyGguf(arch)]);
