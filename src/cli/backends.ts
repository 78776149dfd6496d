/** The backends of this build by the name --backend takes, fastest first. */
import { BackendError } from "../errors.ts";
import type { Backend } from "../kernels/backend.ts";
import { nativeBackend, nativeBackendProblem } from "../kernels/native.ts";
import { referenceBackend } from "../kernels/reference.ts";

export interface BackendChoice {
  readonly open: (threads: number) => Backend;
  /** Why it can't be used here and what to do, after a semicolon; undefined where it can. */
  readonly problem: () => string | undefined;
}

export const BACKENDS: ReadonlyMap<string, BackendChoice> = new Map([
  ["native", { open: (threads: number) => nativeBackend({ threads }), problem: nativeBackendProblem }],
  ["reference", { open: (threads: number) => referenceBackend({ threads }), problem: () => undefined }],
]);

/**
 * Open the backend of this name; `auto` is the fastest that can be used here. Throws BackendError for one that there
 * is not, or that can't be used.
 */
export function openBackend(name: string, threads: number): Backend {
  const choice =
    name === "auto" ? [...BACKENDS.values()].find(({ problem }) => problem() === undefined) : BACKENDS.get(name);
  if (choice !== undefined) return choice.open(threads);
  throw new BackendError(
    `--backend ${name}: this build has no such backend; leave --backend out, or give one of auto, ${[...BACKENDS.keys()].join(", ")}`,
  );
}
