/**
 * A model's files where they may be written: the shards that are written are copied, once they are, and the others are
 * links to the source. A split model of hundreds of gigabytes takes the room of what is probed of it.
 */
import { constants, copyFile, mkdir, rename, rm, symlink } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { checkFreeSpace } from "../disk/free-space.ts";
import type { Model } from "../gguf/model.ts";

export interface WritableCopy {
  /** What llama.cpp is given: the first shard, the others beside it. */
  readonly first: string;
  pathOf(shard: number): string;
  /** Whether all of these are copies. */
  isWritable(shards: Iterable<number>): boolean;
  /** Copy those of them that are links. Nobody has them mapped meanwhile. Throws FileError where the disk is too small. */
  makeWritable(shards: Iterable<number>): Promise<void>;
  remove(): Promise<void>;
}

/** All shards as links. */
export async function linkModel({ shards }: Pick<Model, "shards">, folder: string): Promise<WritableCopy> {
  // what a worker that was killed left there is as degraded as it was then
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const paths = shards.map(({ path }) => join(folder, basename(path)));
  const copied = new Set<number>();
  for (const [shard, { path }] of shards.entries()) {
    await symlink(resolve(path), paths[shard] as string).catch(async (error: NodeJS.ErrnoException) => {
      // a system on which not everybody makes links
      if (error.code !== "EPERM" && error.code !== "ENOSYS") throw error;
      await copyShard(shard);
    });
  }
  async function copyShard(shard: number): Promise<void> {
    const { path, fileBytes } = shards[shard] as (typeof shards)[number];
    const to = paths[shard] as string;
    await checkFreeSpace(folder, folder, fileBytes);
    await copyFile(path, `${to}.copy`, constants.COPYFILE_FICLONE);
    await rename(`${to}.copy`, to);
    copied.add(shard);
  }
  return {
    first: paths[0] as string,
    pathOf: (shard) => paths[shard] as string,
    isWritable: (wanted) => [...wanted].every((shard) => copied.has(shard)),
    async makeWritable(wanted) {
      for (const shard of wanted) if (!copied.has(shard)) await copyShard(shard);
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
