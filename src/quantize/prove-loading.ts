/** Proves that llama.cpp loads a file that was made: with a token decoded where the memory has room for it, else by its header. */
import { stat } from "node:fs/promises";
import { freemem } from "node:os";
import type { Bench } from "../bench.ts";
import type { Library } from "../engine/engine.ts";
import { EngineError } from "../errors.ts";

/** What was proven of a file; `why`: in words, where that is less than a decode. */
export interface LoadProof {
  readonly loaded: "decoded" | "header" | "refused" | "not asked";
  readonly why?: string;
}

export const NOT_PROVEN: LoadProof = { loaded: "not asked" };

/**
 * Never throws but for an abort: a machine on which llama.cpp can't be asked made a good file all the same. Without `decode`
 * only the header is asked about.
 */
export async function proveLoading(
  path: string,
  { engine, threads, signal }: Bench,
  decode = true,
): Promise<LoadProof> {
  const { library, programs } = engine;
  if (library === undefined || programs !== undefined) {
    return { loaded: "not asked", why: "another build's programs made it, and the embedded llama.cpp was not asked" };
  }
  const ask = (decode: boolean) => library.tryLoad({ model: path, decode, threads, signal });
  try {
    if (!decode) return await byHeader(ask, "it was not asked for");
    const { size } = await stat(path);
    if (size > freemem()) return await byHeader(ask, "the file is larger than the free memory");
    return await byDecode(ask);
  } catch (error) {
    if (signal.aborted || !(error instanceof EngineError)) throw error;
    return { loaded: "not asked", why: firstLine(error) };
  }
}

type Ask = (decode: boolean) => ReturnType<Library["tryLoad"]>;

async function byDecode(ask: Ask): Promise<LoadProof> {
  try {
    const verdict = await ask(true);
    return verdict.loads ? { loaded: "decoded" } : { loaded: "refused", why: verdict.why };
  } catch (error) {
    if (!(error instanceof EngineError) || error.code === "engine-missing") throw error;
    return byHeader(ask, firstLine(error));
  }
}

async function byHeader(ask: Ask, why: string): Promise<LoadProof> {
  const verdict = await ask(false);
  return verdict.loads ? { loaded: "header", why } : { loaded: "refused", why: verdict.why };
}

function firstLine({ message }: EngineError): string {
  return message.split("\n")[0] as string;
}
