/** What a command reads it never writes: an output that is an input is refused whatever --force allows. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { isRemote } from "../bytes/remote-name.ts";
import { UsageError } from "../errors.ts";
import { parseShardName, shardPath } from "../gguf/shards.ts";

/**
 * Throws UsageError where one of `outputs` is one of `inputs`, by whatever links and in whatever spelling, or where two of
 * them are one. A model that is named by its first shard is all of them; inputs that are not files here, or that were not
 * given, are left out.
 */
export async function protectInputs(
  outputs: readonly string[],
  inputs: readonly (string | undefined)[],
): Promise<void> {
  const named = new Set<string>();
  for (const output of outputs.map((path) => resolve(path))) {
    if (named.has(output)) throw new UsageError(`${output} would be written twice; give each output its own name`);
    named.add(output);
  }
  const read = new Map<string, string>();
  for (const input of inputs) {
    if (input === undefined || isRemote(input)) continue;
    for (const path of filesOf(input)) {
      const key = await fileKey(path);
      if (key === undefined) break;
      read.set(key, path);
    }
  }
  for (const output of outputs) {
    const input = read.get((await fileKey(output)) ?? "");
    if (input === undefined) continue;
    const which = resolve(input) === resolve(output) ? "an input too" : `the input ${input} by another name`;
    throw new UsageError(`the output ${output} is ${which}, and would be written over; choose another name or place`);
  }
}

/** A number of shards is a stranger's: they are named one by one, as far as there are any. */
function* filesOf(path: string): Generator<string> {
  const shard = parseShardName(path);
  yield path;
  for (let number = 2; number <= (shard?.count ?? 1); number++) {
    yield shardPath(shard?.prefix ?? "", number, shard?.count ?? 1);
  }
}

/** One file has one key, whatever its names; undefined where there is none. */
async function fileKey(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
