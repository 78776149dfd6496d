/**
 * Hostile input for every format PRISM reads. A case returns or throws a PrismError; another error, an end of the
 * process, a hang or a leap in memory is a failure, told with the number that makes it again.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Batch, ReaderMessage } from "./reader-child.ts";
import { type Request, type Result, Tally } from "./result.ts";

export interface ReadersRequest extends Request {
  /** Processes at once. */
  readonly lanes?: number;
  readonly only?: string | undefined;
  readonly sabotage?: Batch["sabotage"];
  /** Milliseconds after which a case hangs. */
  readonly limitMs?: number;
}

/** A process begins anew after these cases, so that what it keeps can't hide what a case takes. */
const BATCH = 5000;

export async function attackReaders(request: ReadersRequest): Promise<Result> {
  const { count, lanes = 2, first = 0 } = request;
  const tally = new Tally("readers", request);
  const root = mkdtempSync(join(tmpdir(), "prism-campaign-readers-"));
  const lane = async (number: number) => {
    for (let from = first + number; from < first + count; )
      from = await runChild(request, from, first + count, lanes, root, tally);
  };
  try {
    await Promise.all(Array.from({ length: Math.min(lanes, count) }, (_, number) => lane(number)));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  return tally.result();
}

/** Run cases until the batch is through or the process ends; returns the case to go on with. */
async function runChild(
  request: ReadersRequest,
  from: number,
  end: number,
  step: number,
  root: string,
  tally: Tally,
): Promise<number> {
  const { seed, only, sabotage, limitMs = 20_000 } = request;
  const to = Math.min(end, from + BATCH * step);
  const child = fork(fileURLToPath(new URL("reader-child.ts", import.meta.url)), [], {
    execArgv: ["--import", "tsx", "--max-old-space-size=1024"],
    // where Node finds tsx by its name
    cwd: import.meta.dirname,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  rmSync(join(root, `${from % step}.case`), { force: true });
  let complete = false;
  let stderr = "";
  child.stderr?.on("data", (text) => {
    stderr = `${stderr}${text}`.slice(-2000);
  });
  child.on("message", (message: ReaderMessage) => {
    if ("kind" in message) tally.fail(message.kind, `readers ${seed}/${message.index}`, message.what);
    else {
      complete = true;
      tally.peak(message.peakBytes);
      for (const [what, times] of Object.entries(message.counts)) tally.count(what, times);
    }
  });
  const batch: Batch = {
    seed,
    from,
    to,
    step,
    folder: join(root, `lane-${from % step}`),
    only,
    sabotage: from < step ? sabotage : undefined,
  };
  child.send(batch);
  const hung = await watch(child, () => caseOf(root, from % step), limitMs);
  const last = caseOf(root, from % step);
  if (last === undefined) throw new Error(`the process of readers did not begin: ${stderr}`);
  if (complete) {
    tally.ended(Math.ceil((to - from) / step));
    return to + ((((from - to) % step) + step) % step);
  }
  tally.fail(
    hung ? "hang" : "crash",
    `readers ${seed}/${last}`,
    hung ? `no end after ${limitMs} ms` : `the process ended: ${stderr}`,
  );
  tally.ended(Math.floor((last - from) / step) + 1);
  return last + step;
}

function caseOf(root: string, lane: number): number | undefined {
  try {
    const text = readFileSync(join(root, `${lane}.case`), "utf8").trim();
    return text === "" ? undefined : Number(text);
  } catch {
    return undefined;
  }
}

/** A process must have begun its first case by then: a busy machine takes a while to load it. */
const BEGIN_LIMIT_MS = 120_000;

/** Wait for the end of a process; true where it was killed for standing at one case too long. */
function watch(child: ChildProcess, at: () => number | undefined, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    let seen: number | undefined;
    let since = performance.now();
    let hung = false;
    const timer = setInterval(() => {
      const now = at();
      if (now !== seen) {
        seen = now;
        since = performance.now();
      } else if (performance.now() - since > (now === undefined ? BEGIN_LIMIT_MS : limitMs)) {
        hung = true;
        child.kill("SIGKILL");
      }
    }, 250);
    child.once("exit", () => {
      clearInterval(timer);
      resolve(hung);
    });
  });
}
