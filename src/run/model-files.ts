/** Where a model of a run stands: as one file, or in parts named as llama.cpp names them. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileExists } from "../disk/aside-file.ts";
import { parseShardName } from "../gguf/shards.ts";
import type { RunDirectory } from "./run-state.ts";

/** Its files, the first one first; none where it was not kept. */
export async function modelFiles(
  { models, model }: Pick<RunDirectory, "models" | "model">,
  slug: string,
): Promise<string[]> {
  const whole = model(slug);
  if (await fileExists(whole)) return [whole];
  const names = await readdir(models).catch(() => []);
  const parts = names.flatMap((name) => {
    const part = parseShardName(name);
    return part !== undefined && `${part.prefix}.gguf` === basename(whole) ? [{ name, ...part }] : [];
  });
  const last = parts.find(({ number, count }) => number === count);
  const all = parts.filter(({ count }) => count === last?.count).sort((a, b) => a.number - b.number);
  return all.length === last?.count ? all.map(({ name }) => join(models, name)) : [];
}
