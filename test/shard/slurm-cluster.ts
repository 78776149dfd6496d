/**
 * A Slurm of one node on this machine, in a temporary folder and on free ports: slurmctld and slurmd as root without
 * authentication, so that what PRISM hands to sbatch is run by the real thing.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { killOnExit } from "./kill-on-exit.ts";

const PROGRAMS = ["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/slurmstepd", "/usr/bin/sbatch"];

export interface SlurmCluster {
  /** What the clients (sbatch, squeue, scancel) need. */
  readonly env: { readonly SLURM_CONF: string };
  client(program: string, ...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Why there is no Slurm here; undefined: there is. */
export function noSlurm(): string | undefined {
  const missing = PROGRAMS.find((program) => !existsSync(program));
  if (missing !== undefined) return `no ${missing} (apt-get install slurm-wlm)`;
  return process.getuid?.() === 0 ? undefined : "slurmd needs root";
}

export async function startSlurm({ cpus }: { readonly cpus: number }): Promise<SlurmCluster> {
  const folder = mkdtempSync(join(tmpdir(), "prism-slurm-"));
  const SLURM_CONF = join(folder, "slurm.conf");
  await writeFile(SLURM_CONF, await configuration(folder, cpus));
  const env = { SLURM_CONF };
  const client = async (program: string, ...args: readonly string[]) => {
    const { stdout } = await promisify(execFile)(program, [...args], { env: { ...process.env, ...env } });
    return stdout;
  };
  const daemons: ChildProcess[] = [];
  const stop = async () => {
    await client("scancel", "--user=root", "--signal=KILL", "--full").catch(() => undefined);
    for (const daemon of daemons.reverse()) await end(daemon);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const [program, log] of [
      ["/usr/sbin/slurmctld", "slurmctld.log"],
      ["/usr/sbin/slurmd", "slurmd.log"],
    ] as const) {
      // in the foreground, so that it ends with whoever started it
      const daemon = spawn(program, ["-D", "-f", SLURM_CONF, "-L", join(folder, log)], {
        stdio: "ignore",
        env: { ...process.env, ...env },
      });
      killOnExit(daemon);
      daemons.push(daemon);
    }
    for (let tries = 0; !/^(idle|mix)/.test(await client("sinfo", "-h", "-o", "%T").catch(() => "")); tries++) {
      if (tries > 200) throw new Error(`Slurm did not start:\n${await logs(folder)}`);
      await sleep(100);
    }
    return { env, client, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function configuration(folder: string, cpus: number): Promise<string> {
  const host = hostname().split(".")[0];
  const [controller, node] = [await freePort(), await freePort()];
  return `ClusterName=prism
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${controller}
SlurmdPort=${node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer_batch=no
SchedulerType=sched/backfill
KillWait=5
MinJobAge=60
InactiveLimit=0
NodeName=${host} NodeAddr=127.0.0.1 CPUs=${cpus} RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=${host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
`;
}

async function logs(folder: string): Promise<string> {
  const texts = await Promise.all(
    ["slurmctld.log", "slurmd.log"].map((name) => readFile(join(folder, name), "utf8").catch(() => `no ${name}`)),
  );
  return texts.map((text) => text.split("\n").slice(-15).join("\n")).join("\n");
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill("SIGTERM");
  const late = setTimeout(() => daemon.kill("SIGKILL"), 3000);
  await ended;
  clearTimeout(late);
}
