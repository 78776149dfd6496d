/**
 * Asks llama.cpp whether it takes a model, in a process of its own: a failed assert ends that, and nothing that is
 * loaded elsewhere. The process ends afterwards, and its memory with it.
 */
import { EngineError } from "../errors.ts";
import type { TryLoadCall, TryLoadReply } from "./child/try-load.ts";
import { type EngineChild, LOG_TAIL_LINES } from "./child-process.ts";
import type { LoadVerdict, TryLoadOptions } from "./engine.ts";
import { noteModel } from "./files-read.ts";
import { wasEndedFromOutside } from "./process-end.ts";

/** A draft model is loaded for a model that it helps; without that there is no context of it. */
const NEEDS_ANOTHER = "requires ctx_other";

/** Throws EngineError where llama.cpp can't be asked: no room for it, a damaged package. */
export async function tryLoad(child: EngineChild, { signal, ...options }: TryLoadOptions): Promise<LoadVerdict> {
  const lines: string[] = [];
  const request: TryLoadCall = options;
  try {
    const reply = await child.call<TryLoadReply>("tryLoad", request, {
      signal,
      reads: noteModel(options.model),
      onLog: (line) => lines.push(line),
    });
    if (reply === "done" || lines.some((line) => line.includes(NEEDS_ANOTHER))) return { loads: true };
    throwWithoutRoom(lines);
    return { loads: false, why: refusalIn(lines) ?? `it gave ${reply}`, aborted: false };
  } catch (error) {
    if (!(error instanceof EngineError) || error.code === "engine-missing" || error.ended === undefined) throw error;
    if (signal?.aborted || wasEndedFromOutside(error.ended, lines.slice(-LOG_TAIL_LINES))) throw error;
    return { loads: false, why: abortIn(lines) ?? `its process ended (${error.ended})`, aborted: true };
  } finally {
    await child.close();
  }
}

/** What is said where memory runs out, which is no fault of the model. */
const NO_ROOM = /unable to allocate|failed to allocate|cannot allocate memory|out of memory|mmap failed/i;

function throwWithoutRoom(lines: readonly string[]): void {
  // further up it quotes the header
  const said = lines.slice(-LOG_TAIL_LINES).find((line) => NO_ROOM.test(line));
  if (said === undefined) return;
  throw new EngineError(`llama.cpp has no room to try the model: ${withoutNames(said)}; free memory and try again`);
}

/** What each stage says last before it gives up, and what a header that can't be read leaves to lines before that. */
const SAYS_WHY = /: (?:error loading model|failed to initialize the context): (.+)$/;
const SAYS_BEFORE = /failed to load model from/;
const GGUF_FAULT = /^gguf_\w+: (?!failed to read)(.+)$/;
const FAULT = /\b(error|fail(?:ed|ure)?|invalid)\b/i;

/** Why llama.cpp refused what it logged this about, without the names of the functions that say so. */
export function refusalIn(lines: readonly string[]): string | undefined {
  const why = lastMatch(lines, SAYS_WHY);
  const said = why === undefined || SAYS_BEFORE.test(why) ? (lastMatch(lines, GGUF_FAULT) ?? why) : why;
  return withoutNames(said ?? lines.findLast((line) => FAULT.test(line)));
}

function lastMatch(lines: readonly string[], pattern: RegExp): string | undefined {
  for (const line of lines.toReversed()) {
    const found = pattern.exec(line.trim())?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

/** "error loading model vocabulary: check_tensor_dims: tensor 'x' not found" → "tensor 'x' not found". */
function withoutNames(line: string | undefined): string | undefined {
  const words = line?.trim().replace(/^((?:error loading model(?: \w+)?|[a-z]\w*_\w+): +)+/, "");
  return words?.replace(/ {2,}/g, " ");
}

/** A failed assert, or an exception that nobody caught: with its place in the source, without the builder's folders. */
export function abortIn(lines: readonly string[]): string | undefined {
  const said = lines.findLast((line) =>
    /GGML_ASSERT|GGML_ABORT|: fatal error|^\s*what\(\):|\.(cpp|c|h):\d+: /.test(line),
  );
  return said
    ?.trim()
    .replace(/^what\(\): +/, "")
    .replace(/^\S*[/\\](?=[\w.-]+:\d+: )/, "");
}
