import { spawnSync } from "node:child_process";

/** Kill the processes of the engines of a program, as the system does that is out of memory. */
export function killEngines(program = process.pid): void {
  const { stdout } = spawnSync("ps", ["-o", "pid=,args=", "--ppid", String(program)], { encoding: "utf8" });
  for (const [, pid] of stdout.matchAll(/(\d+) .*engine.child.main/g)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // it ended meanwhile
    }
  }
}
