/** What llama.cpp itself says of a model, before any work on it: the second opinion on preflight. */
import type { Bench } from "../bench.ts";
import { isRemote } from "../bytes/remote-name.ts";
import type { Library } from "../engine/engine.ts";
import { EngineError } from "../errors.ts";
import { ARCHITECTURES } from "../ggml/architectures.ts";
import type { Model } from "../gguf/model.ts";
import { type Finding, isRefused } from "../preflight/finding-codes.ts";

/**
 * Ask the embedded engine whether it takes the model, by its header alone. Nothing where preflight knows already that it
 * doesn't, where the model is elsewhere, or where another build of llama.cpp is to work with it.
 */
export async function engineFindings(
  model: Model,
  found: readonly Finding[],
  { engine, threads, signal, progress }: Pick<Bench, "engine" | "threads" | "signal" | "progress">,
): Promise<Finding[]> {
  const { library, programs, info } = engine;
  if (library === undefined || programs !== undefined || whyNotAsked(model, found) !== undefined) return [];
  try {
    return await refusalOf(model, library, { version: info.version, threads, signal });
  } catch (error) {
    // the work itself may need less
    progress.note(`! whether llama.cpp loads the model was not asked: ${whyNotAnswered(error, signal)}`);
    return [];
  }
}

/** Why there was no answer: no room for it, say. Throws what is not the engine's. */
export function whyNotAnswered(error: unknown, signal: AbortSignal): string {
  if (signal.aborted || !(error instanceof EngineError)) throw error;
  return error.message.split("\n")[0] as string;
}

/** Why it is not for the engine to say; undefined where it is. */
export function whyNotAsked(
  { path, arch }: Pick<Model, "path" | "arch">,
  found: readonly Finding[],
): string | undefined {
  if (isRemote(path)) return "the model is not on this machine";
  if (arch === "clip") return "a projector is loaded beside its model";
  if (!ARCHITECTURES.has(arch)) return "it does not know the architecture";
  return found.some(isRefused) ? "the findings say already that it refuses the file" : undefined;
}

/** The finding where the engine refuses. Throws EngineError where it can't be asked. */
export async function refusalOf(
  { path }: Pick<Model, "path">,
  library: Pick<Library, "tryLoad">,
  { version, threads, signal }: { readonly version: string; readonly threads: number; readonly signal: AbortSignal },
): Promise<Finding[]> {
  const verdict = await library.tryLoad({ model: path, decode: false, threads, signal });
  if (verdict.loads) return [];
  const does = verdict.aborted ? "ends its process on" : "refuses";
  return [
    {
      code: "engine-refuses",
      severity: "error",
      message: `llama.cpp ${version} ${does} the file: ${verdict.why}`,
      remedy: "convert or download the model again",
    },
  ];
}
