/** The backends of this build by the name --backend takes, fastest first. */
import { BackendError } from "../errors.ts";
import type { Backend } from "../kernels/backend.ts";
import { referenceBackend } from "../kernels/reference.ts";

export const BACKENDS: ReadonlyMap<string, (threads: number) => Backend> = new Map([
  ["reference", (threads: number) => referenceBackend({ threads })],
]);

/** Open the backend of this name; `auto` is the fastest there is. Throws BackendError for one that is not there. */
export function openBackend(name: string, threads: number): Backend {
  const [fastest] = BACKENDS.values();
  const create = name === "auto" ? fastest : BACKENDS.get(name);
  if (create !== undefined) return create(threads);
  throw new BackendError(
    `--backend ${name}: this build has no such backend; leave --backend out, or give one of auto, ${[...BACKENDS.keys()].join(", ")}`,
  );
}
