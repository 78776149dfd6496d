/** The command that an engine starts: this PRISM, for one index. */
import { entryPoint } from "../../entry.ts";
import type { Campaign } from "../campaign-document.ts";

/** Options of `prism shard run` that every worker of a submission has; what is absent is the worker's own default. */
export interface WorkerOptions {
  readonly backend: string;
  /** Bytes. */
  readonly memory?: number | undefined;
  readonly cache?: boolean | undefined;
}

/** The words before `shard`: Node and this command line, by absolute paths, which the machines share. */
export function prismWords(): readonly string[] {
  return [process.execPath, entryPoint("../../cli/main", import.meta.url)];
}

/**
 * Whether a worker is told its index. Where units are decided in rounds it does what nobody does: else those that run would wait
 * for an index that has no machine yet.
 */
export function hasOwnIndex({ rounds }: Pick<Campaign, "rounds">): boolean {
  return rounds === undefined;
}

export function workerWords({ backend, memory, cache }: WorkerOptions): readonly string[] {
  return [
    "--backend",
    backend,
    ...(memory === undefined ? [] : ["--memory", String(memory)]),
    ...(cache === false ? ["--no-cache"] : []),
  ];
}
