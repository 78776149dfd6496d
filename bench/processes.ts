/** What the processes below this one used, from Linux's /proc: processor seconds and the most memory at once. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

export interface Usage {
  readonly seconds: number;
  /** Processor time of all processes; absent where there is no /proc. */
  readonly cpuSeconds?: number;
  /** The largest sum of resident memory seen, a page of several processes counted in each. */
  readonly peakBytes?: number;
}

const INTERVAL_MS = 50;
/** USER_HZ of Linux, and the page size of x86-64 and most arm64 systems. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

interface Process {
  readonly parent: number;
  readonly ticks: number;
  readonly bytes: number;
}

/** Run the work and watch the processes it starts. */
export async function observe<Result>(work: () => Promise<Result>): Promise<{ result: Result; usage: Usage }> {
  const ticks = new Map<number, number>();
  let peakBytes = 0;
  const look = () => {
    const found = descendants();
    for (const [pid, process] of found) ticks.set(pid, process.ticks);
    peakBytes = Math.max(
      peakBytes,
      [...found.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    );
  };
  const hasProc = existsSync("/proc/self/stat");
  const timer = hasProc ? setInterval(look, INTERVAL_MS) : undefined;
  const before = hasProc ? totalTicks(descendants()) : 0;
  const started = performance.now();
  try {
    const result = await work();
    const seconds = (performance.now() - started) / 1e3;
    if (!hasProc) return { result, usage: { seconds } };
    const used = [...ticks.values()].reduce((sum, own) => sum + own, 0) - before;
    return { result, usage: { seconds, cpuSeconds: used / TICKS_PER_SECOND, peakBytes } };
  } finally {
    clearInterval(timer);
  }
}

function totalTicks(processes: ReadonlyMap<number, Process>): number {
  return [...processes.values()].reduce((sum, { ticks }) => sum + ticks, 0);
}

function descendants(): Map<number, Process> {
  const all = new Map<number, Process>();
  for (const name of readdirSync("/proc")) {
    const found = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined;
    if (found !== undefined) all.set(Number(name), found);
  }
  const isBelow = (pid: number): boolean => {
    const parent = all.get(pid)?.parent;
    return parent !== undefined && (parent === process.pid || isBelow(parent));
  };
  return new Map([...all].filter(([pid]) => isBelow(pid)));
}

/** proc(5): after the name in parentheses, field 4 is the parent, 14 and 15 the ticks, 24 the resident pages. */
function readProcess(pid: number): Process | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const field = (number: number) => Number(fields[number - 3]);
    return { parent: field(4), ticks: field(14) + field(15), bytes: field(24) * PAGE_BYTES };
  } catch {
    // it has ended since
    return undefined;
  }
}
