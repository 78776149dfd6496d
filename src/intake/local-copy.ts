/** A copy of a remote model on this machine, all its shards, in the cache: for what needs the file itself. */
import { join } from "node:path";
import { baseName } from "../base-name.ts";
import { type DownloadOptions, downloadFile } from "../bytes/download.ts";
import { type Location, locate } from "../bytes/location.ts";
import { downloadCommand, localName, parseHubName, shownName } from "../bytes/remote-name.ts";
import { makeFolder } from "../disk/aside-file.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { lockFolder } from "../disk/folder-lock.ts";
import { UsageError } from "../errors.ts";
import { parseShardName, shardPath } from "../gguf/shards.ts";
import { formatSize } from "../numbers.ts";
import type { Desk } from "./open-named-model.ts";

export interface LocalCopy {
  /** Of the file, or of its first shard. */
  readonly path: string;
  /** Its name with the commit, where the Hub said it; no secrets. */
  readonly from: string;
}

/**
 * Fetch the model, unless it lies in the cache already. Throws UsageError without a cache, FileError where the server or
 * the disk won't.
 */
export async function localCopy(name: string, { cache, signal, progress }: Desk): Promise<LocalCopy> {
  const shown = shownName(name);
  if (cache.dir === undefined) {
    throw new UsageError(
      `${shown}: --no-cache leaves no place to keep it; download it (${downloadCommand(name)}) and give ${localName(name)}`,
    );
  }
  const root = join(cache.dir, "downloads");
  await makeFolder(root);
  const lock = await lockFolder(join(root, `${cacheKey([shown])}.lock`));
  try {
    const abort = AbortSignal.any([signal, lock.lost]);
    let folder: string | undefined;
    let first: LocalCopy | undefined;
    for (const { location, file } of filesOf(name)) {
      if (location.http === undefined) throw new UsageError(`${shown}: is no remote file`);
      let said = false;
      const options: DownloadOptions = {
        signal: abort,
        onNote: (text) => progress.note(`! ${text}`),
        onProgress(done, total) {
          if (!said) progress.note(`fetching ${shownName(location.path)}, ${formatSize(total)}, into ${folder}`);
          said = true;
          progress.steps("fetching megabytes", Math.floor(done / 1e6), Math.ceil(total / 1e6));
        },
      };
      const fetched = await downloadFile(
        location.http,
        (version) => {
          // shards lie beside their first
          folder ??= join(root, cacheKey([shown, version]));
          return join(folder, file);
        },
        options,
      );
      first ??= { path: fetched.path, from: named(name, fetched.commit) };
    }
    if (first === undefined) throw new UsageError(`${shown}: is no remote file`);
    return first;
  } finally {
    await lock.release();
  }
}

function named(name: string, commit: string | undefined): string {
  if (commit === undefined || !/^hf:/i.test(name)) return shownName(name);
  const { repository, file } = parseHubName(name);
  return `hf:${repository}/${file}@${commit}`;
}

function filesOf(name: string): { readonly location: Location; readonly file: string }[] {
  const location = locate(name);
  const shard = parseShardName(location.file);
  const nameOf = (file: string) => baseName(localName(file)) || "model.gguf";
  if (shard === undefined || shard.number !== 1) return [{ location, file: nameOf(location.file) }];
  return Array.from({ length: shard.count }, (_, index) => {
    const file = shardPath(shard.prefix, index + 1, shard.count);
    return { location: index === 0 ? location : location.beside(file), file: nameOf(file) };
  });
}
