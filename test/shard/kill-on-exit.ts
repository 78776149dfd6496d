/** Programs that tests start end with the tests, however these end. */
import type { ChildProcess } from "node:child_process";

export function killOnExit(child: ChildProcess): void {
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
}
