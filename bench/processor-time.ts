/** Time that processors spent on this process and those it started: unlike a clock's, other work on the machine leaves it alone. */
import { readdirSync, readFileSync } from "node:fs";

/** Linux counts in hundredths for every program that asks. */
const TICKS_PER_SECOND = 100;
/** Of /proc/PID/stat after the name, which may hold spaces: utime, and stime after it. */
const USER_TIME = 11;

/** Seconds so far; undefined where there is no /proc. Processes that ended are left out. */
export function processorSeconds(): number | undefined {
  try {
    const tasks = readdirSync("/proc/self/task");
    const children = tasks.flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" "));
    return ["self", ...children].filter((pid) => pid !== "").reduce((sum, pid) => sum + secondsOf(pid), 0);
  } catch {
    return undefined;
  }
}

function secondsOf(pid: string): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[USER_TIME]) + Number(fields[USER_TIME + 1])) / TICKS_PER_SECOND;
}
