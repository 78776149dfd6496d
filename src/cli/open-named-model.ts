/** The model that a command names: a file here, or one on a server whose parts are fetched as they are needed. */

import { isRemote, shownName } from "../bytes/remote-name.ts";
import { defaultCacheDir } from "../disk/cache-dir.ts";
import type { ModelFile } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { printable } from "../plan/printable.ts";
import { formatSize } from "../report/terminal/numbers.ts";
import type { CommandContext } from "./context.ts";
import type { Output } from "./output.ts";

export interface NamedModel {
  readonly file: ModelFile;
  /** What was fetched so far, for a progress label; undefined for local files. */
  traffic(): string | undefined;
}

/**
 * Open the model `name`. `cache` allows to keep what is fetched. Says on stderr that it reads over the network; whoever
 * closes the file says with noteTraffic() how much it was.
 */
export async function openNamedModel(
  name: string,
  cache: boolean,
  { signal }: CommandContext,
  output: Pick<Output, "note">,
): Promise<NamedModel> {
  if (!isRemote(name)) return { file: await openModel(name), traffic: () => undefined };
  output.note(printable(`reading ${shownName(name)} over the network`));
  const bytes = { network: 0, cache: 0 };
  const file = await openModel(name, {
    signal,
    onNote: (text) => output.note(printable(`! ${text}`)),
    onTransfer(from, count) {
      bytes[from] += count;
    },
    ...(cache ? { cacheDir: defaultCacheDir() } : {}),
  });
  return {
    file,
    traffic: () => `${formatSize(bytes.network)} fetched, ${formatSize(bytes.cache)} from the cache`,
  };
}

/** Say what was read of a remote model. */
export function noteTraffic({ file, traffic }: NamedModel, output: Pick<Output, "note">): void {
  const text = traffic();
  if (text === undefined) return;
  const total = file.model.shards.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  output.note(`${text}, of ${formatSize(total)}`);
}
