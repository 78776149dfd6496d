import { execFileSync } from "node:child_process";

/** The processes of this program's engines. */
export function engineProcesses(parent = process.pid): number[] {
  const children = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(parent)], { encoding: "utf8" });
  return [...children.matchAll(/(\d+) .*engine.child.main/g)].map(([, pid]) => Number(pid));
}
