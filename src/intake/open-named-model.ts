/** The model that a person names: a file here, or one on a server whose parts are fetched as they are needed. */

import type { Bench } from "../bench.ts";
import { isRemote, shownName } from "../bytes/remote-name.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { formatSize } from "../numbers.ts";

/** What reading a model needs of a bench. */
export type Desk = Pick<Bench, "cache" | "signal" | "progress">;

export interface NamedModel {
  readonly model: OpenModel;
  /** What was fetched so far, for a progress label; undefined for local files. */
  traffic(): string | undefined;
}

/** Open the model `name`, saying so where it is read over the network; noteTraffic() says afterwards how much it was. */
export async function openNamedModel(name: string, { cache, signal, progress }: Desk): Promise<NamedModel> {
  if (!isRemote(name)) return { model: await openModel(name), traffic: () => undefined };
  progress.note(`reading ${shownName(name)} over the network`);
  const bytes = { network: 0, cache: 0 };
  const model = await openModel(name, {
    signal,
    cacheDir: cache.dir,
    onNote: (text) => progress.note(`! ${text}`),
    onTransfer(from, count) {
      bytes[from] += count;
    },
  });
  return {
    model,
    traffic: () => `${formatSize(bytes.network)} fetched, ${formatSize(bytes.cache)} from the cache`,
  };
}

/** Say what was read of a remote model. */
export function noteTraffic({ model, traffic }: NamedModel, { progress }: Pick<Bench, "progress">): void {
  const text = traffic();
  if (text !== undefined) progress.note(`${text}, of ${formatSize(model.fileBytes)}`);
}
