/**
 * Asks llama.cpp what a model takes of memory and reads the sizes from what it logs. They have hundredths of a MiB; what
 * is allocated for a context of many tokens is known to the byte per token all the same.
 */
import { EngineError } from "../errors.ts";
import type { MeasureMemoryCall, MeasureMemoryReply } from "./child/measure-memory.ts";
import type { EngineChild } from "./child-process.ts";
import type { ContextMemory, MeasureMemoryOptions } from "./engine.ts";
import { noteModel } from "./files-read.ts";
import { refusalIn } from "./try-load.ts";

/** Throws EngineError where llama.cpp does not load the model, or an assert ends it. */
export async function measureMemory(
  child: EngineChild,
  { signal, ...call }: MeasureMemoryOptions,
): Promise<(ContextMemory | undefined)[]> {
  const lines: string[] = [];
  const request: MeasureMemoryCall = call;
  const made = await child.call<MeasureMemoryReply>("measureMemory", request, {
    signal,
    reads: noteModel(call.model),
    onLog: (line) => lines.push(line),
  });
  if (made === undefined) {
    throw new EngineError(`llama.cpp does not load ${call.model}: ${refusalIn(lines) ?? "it does not say why"}`);
  }
  const logs = splitByContext(lines);
  let next = 0;
  return made.map((isMade) => (isMade ? readContextLog(logs[next++] ?? []) : undefined));
}

const BEGINS = /^llama_context: constructing llama_context/;
const FAILED = /failed to initialize the context/;

/** What was logged of each context that was made. */
function splitByContext(lines: readonly string[]): string[][] {
  const logs: string[][] = [];
  for (const line of lines) {
    if (BEGINS.test(line)) logs.push([]);
    else if (FAILED.test(line)) logs.pop();
    logs.at(-1)?.push(line);
  }
  return logs;
}

const MIB = 2 ** 20;
const CACHE = /^llama_kv_cache: size = +([\d.]+) MiB/;
/** Of DeepSeek V4's compressors, too. */
const STATE = /^llama_(?:memory_recurrent: size|dsv4_comp_state: .*, size) = +([\d.]+) MiB/;
const COMPUTE = /^\w+: +(\S+) compute buffer size = +([\d.]+) MiB/;
const OUTPUT = /^\w+: +\S+ +output buffer size = +([\d.]+) MiB/;

/** Read what llama.cpp logged of one context. */
export function readContextLog(lines: readonly string[]): ContextMemory {
  const sum = (pattern: RegExp) => lines.reduce((total, line) => total + Number(pattern.exec(line)?.[1] ?? 0) * MIB, 0);
  const compute = new Map<string, number>();
  for (const line of lines) {
    const [, buffer = "", size] = COMPUTE.exec(line) ?? [];
    if (size !== undefined) compute.set(buffer, Number(size) * MIB);
  }
  return { kvBytes: sum(CACHE), stateBytes: sum(STATE), outputBytes: sum(OUTPUT), computeBytes: compute };
}
