/** The bench of a command, opened from its options and closed when the work is done. */
import { type Bench, DEFAULT_LOGITS_LIMIT_BYTES } from "../bench.ts";
import { defaultCacheDir } from "../disk/cache-dir.ts";
import type { Desk } from "../intake/open-named-model.ts";
import { type OpenedBench, openBench } from "../open-bench.ts";
import type { CommandContext } from "./context.ts";
import { followProgress } from "./follow-progress.ts";
import type { SharedOptions } from "./options.ts";
import type { Output } from "./output.ts";

/** What work may use: a bench is opened when it is first asked for. */
export interface Workplace {
  bench(): Promise<Bench>;
  readonly progress: Bench["progress"];
}

/** Do the work, with its progress on `output`. */
export async function withWorkplace<Result>(
  options: SharedOptions,
  { signal }: CommandContext,
  output: Output,
  work: (place: Workplace) => Promise<Result>,
): Promise<Result> {
  const progress = followProgress(output);
  let opening: Promise<OpenedBench> | undefined;
  const bench = () => {
    // commands without the option decode nothing
    const { cache, cacheLimit: logitsLimitBytes, memory: memoryBytes, gpuLayers = 0 } = options;
    const cacheDir = cache === false ? "none" : undefined;
    opening ??= openBench({ ...options, gpuLayers, memoryBytes, logitsLimitBytes, cacheDir, signal, progress });
    return opening;
  };
  let ended: "done" | "cut" = "cut";
  try {
    const result = await work({ bench, progress });
    ended = "done";
    return result;
  } finally {
    progress.end(ended);
    const opened = await opening?.catch(() => undefined);
    await opened?.close();
  }
}

/** The same for work that only fetches files: no engine is looked for. */
export async function withDesk<Result>(
  options: SharedOptions,
  { signal }: CommandContext,
  output: Output,
  work: (desk: () => Promise<Desk>) => Promise<Result>,
): Promise<Result> {
  const progress = followProgress(output);
  const dir = options.cache === false ? undefined : defaultCacheDir();
  const cache = { dir, logitsLimitBytes: options.cacheLimit ?? DEFAULT_LOGITS_LIMIT_BYTES };
  try {
    return await work(async () => ({ signal, progress, cache }));
  } finally {
    progress.end("cut");
  }
}

/** The same for work that needs a bench in any case. */
export function withBench<Result>(
  options: SharedOptions,
  context: CommandContext,
  output: Output,
  work: (bench: Bench) => Promise<Result>,
): Promise<Result> {
  return withWorkplace(options, context, output, async ({ bench }) => work(await bench()));
}
