/** A Redis of the tests' own: loopback, a password, its append-only file in a temporary folder; it can be killed and come back. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";
import { killOnExit } from "./kill-on-exit.ts";

const PROGRAM = "/usr/bin/redis-server";
const PASSWORD = "p:ss/w@rd";

export interface RedisServer {
  /** With the password in it. */
  readonly url: string;
  readonly password: string;
  /** Without. */
  readonly bareUrl: string;
  /** kill -9, and the same server on the same file again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Why there is no Redis here; undefined: there is. */
export function noRedis(): string | undefined {
  return existsSync(PROGRAM) ? undefined : `no ${PROGRAM} (apt-get install redis-server)`;
}

export async function startRedis(): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "prism-redis-"));
  const port = await freePort();
  const configuration = join(folder, "redis.conf");
  await writeFile(
    configuration,
    `bind 127.0.0.1
port ${port}
dir ${folder}
requirepass "${PASSWORD}"
appendonly yes
appendfsync always
save ""
`,
  );
  const start = async () => {
    const server = spawn(PROGRAM, [configuration], { stdio: "ignore" });
    killOnExit(server);
    for (let tries = 0; !(await answers(port)); tries++) {
      if (tries > 100 || server.exitCode !== null) throw new Error("redis-server did not start");
      await sleep(50);
    }
    return server;
  };
  let server = await start();
  return {
    url: `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}`,
    bareUrl: `redis://127.0.0.1:${port}`,
    password: PASSWORD,
    async restart() {
      await kill(server);
      server = await start();
    },
    async stop() {
      await kill(server);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function kill(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGKILL");
  await ended;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
