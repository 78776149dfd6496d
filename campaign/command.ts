/** Real commands in processes of their own: started, signalled, watched, and judged by how they ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  /** Killed because it did not end in time. */
  readonly hung: boolean;
  /** Processes of its group that lived on after it, ended now. */
  readonly orphans: number;
  /** Resident memory of its largest process at its peak. */
  readonly peakBytes: number;
}

export interface Command {
  readonly ended: Promise<Ended>;
  isRunning(): boolean;
  /** Signal the process, its whole group, or one that it started; false where there is none. */
  signal(name: NodeJS.Signals, target: Target, pick?: (pids: readonly number[]) => number): boolean;
}

export type Target = "process" | "group" | "child";

export interface Where {
  readonly cwd: string;
  readonly cache: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly limitMs?: number;
}

/** Milliseconds a command of the campaign may take: each is over in seconds. */
const LIMIT_MS = 120_000;
/** Milliseconds in which processes notice that the one that started them is no more. */
const ORPHAN_MS = 5000;
const SAMPLE_MS = 100;

/** Start `prism ...args`. */
export function startPrism(args: readonly string[], where: Where): Command {
  return startCommand(process.execPath, [CLI, ...args], where);
}

export function runPrism(args: readonly string[], where: Where): Promise<Ended> {
  return startPrism(args, where).ended;
}

export function startCommand(program: string, args: readonly string[], where: Where): Command {
  const { cwd, cache, env = {}, limitMs = LIMIT_MS } = where;
  const child = spawn(program, args, {
    ...{ cwd, detached: true, stdio: ["ignore", "pipe", "pipe"] },
    env: { ...process.env, NO_COLOR: "1", PRISM_CACHE_DIR: cache, ...env },
  });
  const pid = child.pid ?? 0;
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  return {
    ended: watch(child, pid, limitMs),
    isRunning,
    signal(name, target, pick = ([first]) => first ?? 0) {
      if (!isRunning()) return false;
      const children = target === "child" ? processesOf(pid).filter((one) => one !== pid) : [];
      if (target === "child" && children.length === 0) return false;
      return send({ process: pid, group: -pid, child: pick(children) }[target], name);
    },
  };
}

async function watch(child: ChildProcess, pid: number, limitMs: number): Promise<Ended> {
  const started = performance.now();
  let [stdout, stderr, hung, peakBytes] = ["", "", false, 0];
  child.stdout?.on("data", (text) => (stdout += text));
  child.stderr?.on("data", (text) => (stderr += text));
  const sampling = setInterval(() => {
    for (const one of processesOf(pid)) peakBytes = Math.max(peakBytes, peakOf(one));
  }, SAMPLE_MS);
  const limit = setTimeout(() => {
    hung = true;
    send(-pid, "SIGKILL");
  }, limitMs);
  const closed = new Promise((resolve) => child.once("close", resolve));
  // not "close" alone: an orphan holds the pipes open
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve([code, signal]));
  });
  const ms = performance.now() - started;
  clearTimeout(limit);
  clearInterval(sampling);
  const orphans = await endOrphans(pid);
  await Promise.race([closed, sleep(1000)]);
  return { code, signal, stdout, stderr, ms, hung, orphans, peakBytes };
}

async function endOrphans(group: number): Promise<number> {
  for (const started = performance.now(); performance.now() - started < ORPHAN_MS; await sleep(50)) {
    if (processesOf(group).length === 0) return 0;
  }
  const left = processesOf(group);
  send(-group, "SIGKILL");
  return left.length;
}

function send(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** The living processes of a group. */
function processesOf(group: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const text = readProc(pid, "stat");
    const [state, , own] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return Number(own) === group && state !== "Z" && state !== "X";
  });
}

function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readProc(pid, "status"))?.[1] ?? 0) * 1024;
}

function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return "";
  }
}

/** A stack of a program's own, or an end by a signal that nobody sent. */
export function crashOf({ stderr, signal, code }: Ended, sent: readonly string[] = []): string | undefined {
  if (signal !== null && !sent.includes(signal)) return `ended by ${signal}: ${stderr.slice(-500)}`;
  if (code !== null && code > 130) return `ended with ${code}: ${stderr.slice(-500)}`;
  if (/^\s+at .+:\d+:\d+\)?$/m.test(stderr)) return `a stack: ${stderr.slice(-1000)}`;
  return undefined;
}
