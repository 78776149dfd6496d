/**
 * A campaign on a cluster that is not here, as a fluid simulation: units with seconds of computing and bytes to read, nodes
 * of unequal speed that die, a storage that all of them share. A unit reads while it computes, so it takes the longer of
 * the two; the storage gives each reader what it asks for while it can, and else the most equal shares (max-min). The
 * same seed gives the same campaign. Used by bench/many-machines.ts.
 */

import { createNormal, createRandom, seedFromName } from "../src/random.ts";
import { balance } from "../src/shard/balance.ts";

export interface SimulatedUnit {
  readonly key: string;
  /** Of computing, on a node of speed 1. */
  readonly seconds: number;
  /** Read from the shared storage. */
  readonly bytes: number;
}

export interface Cluster {
  readonly workers: number;
  /** Between a worker's (or a job's) start and its first unit. */
  readonly startSeconds: number;
  /** What it reads for that: where it probes, the model. */
  readonly startBytes: number;
  readonly nodeBytesPerSecond: number;
  readonly storageBytesPerSecond: number;
  /** Standard deviation of the logarithm of a node's speed; the mean speed is 1. */
  readonly speedSpread: number;
  /** Share of the nodes that die in an hour. */
  readonly deathsPerHour: number;
  /** Until what a dead node had is given out again, and a node is back in its place. */
  readonly requeueSeconds: number;
  readonly seed: number;
}

/** Units in the order in which one worker takes them. */
export type Job = readonly SimulatedUnit[];

export interface Outcome {
  readonly makespanSeconds: number;
  /** Of computing, all units that were finished. */
  readonly workSeconds: number;
  /** The same of units that were begun on a node that died. */
  readonly lostSeconds: number;
  readonly deaths: number;
  /** How often each unit was finished, in the order of the jobs. */
  readonly finished: ReadonlyMap<string, number>;
  /** Seconds that each worker was busy, starts included, and bytes it read. */
  readonly busySeconds: readonly number[];
  readonly bytesRead: readonly number[];
}

/** At most `jobs` lists of consecutive units, as `prism shard plan` makes them of units of this cost. */
export function inJobs(units: readonly SimulatedUnit[], jobs: number, cost: (unit: SimulatedUnit) => number): Job[] {
  const places = balance(units.map(cost), jobs);
  return Array.from({ length: (places.at(-1) ?? -1) + 1 }, (_, job) => units.filter((_, at) => places[at] === job));
}

/** Seconds that the units take at least: by computing, and by what nodes and storage can deliver. */
export function idealSeconds(units: readonly SimulatedUnit[], cluster: Cluster): { compute: number; storage: number } {
  const sum = (of: (unit: SimulatedUnit) => number) => units.reduce((total, unit) => total + of(unit), 0);
  const rate = Math.min(cluster.storageBytesPerSecond, cluster.workers * cluster.nodeBytesPerSecond);
  return { compute: sum(({ seconds }) => seconds) / cluster.workers, storage: sum(({ bytes }) => bytes) / rate };
}

const START = "";

interface Worker {
  readonly speed: number;
  /** What is left of its job; the first is under way. */
  job: SimulatedUnit[];
  /** Share of the first that is left. */
  left: number;
  /** Shares of it in a second, as the storage now lets it. */
  rate: number;
  started: boolean;
  diesAt: number;
  backAt: number;
  busySeconds: number;
  bytesRead: number;
}

/** Run the jobs: a worker that is free takes the next; where `startsEach`, every job is a new process that has to start. */
export function simulate(jobs: readonly Job[], cluster: Cluster, startsEach: boolean): Outcome {
  const random = createRandom(seedFromName("nodes", cluster.seed));
  const normal = createNormal(createRandom(seedFromName("speeds", cluster.seed)));
  const lifetime = () => (-Math.log(1 - random()) * 3600) / cluster.deathsPerHour;
  const workers = Array.from({ length: cluster.workers }, (): Worker => {
    const speed = Math.exp(cluster.speedSpread * normal() - cluster.speedSpread ** 2 / 2);
    const idle = { job: [], left: 1, rate: 0, started: false, backAt: 0, busySeconds: 0, bytesRead: 0 };
    return { ...idle, speed, diesAt: lifetime() };
  });
  const start: SimulatedUnit = { key: START, seconds: cluster.startSeconds, bytes: cluster.startBytes };
  const isNoStart = cluster.startSeconds === 0 && cluster.startBytes === 0;
  const waiting = jobs.map((job) => job.slice());
  const requeued: { job: SimulatedUnit[]; at: number }[] = [];
  const finished = new Map(jobs.flat().map(({ key }) => [key, 0]));
  let open = finished.size;
  let next = 0;
  let now = 0;
  let workSeconds = 0;
  let lostSeconds = 0;
  let deaths = 0;

  while (open > 0) {
    for (let due = requeued[0]; due !== undefined && due.at <= now; due = requeued[0]) {
      waiting.push(due.job);
      requeued.shift();
    }
    for (const worker of workers) {
      if (next === waiting.length) break;
      if (worker.job.length > 0 || worker.backAt > now) continue;
      const job = waiting[next++] as SimulatedUnit[];
      worker.job = isNoStart || (worker.started && !startsEach) ? job : [start, ...job];
      worker.started = true;
      worker.left = 1;
    }
    const busy = workers.filter(({ job }) => job.length > 0);
    shareStorage(busy, cluster);
    const step = Math.min(
      ...busy.map(({ left, rate, diesAt }) => Math.min(left / rate, Math.max(0, diesAt - now))),
      (requeued[0]?.at ?? Number.POSITIVE_INFINITY) - now,
      // a job may wait for a node to be back
      ...(next < waiting.length ? workers.flatMap(({ backAt }) => (backAt > now ? [backAt - now] : [])) : []),
    );
    now += step;
    for (const worker of busy) {
      const unit = worker.job[0] as SimulatedUnit;
      const share = Math.min(worker.left, worker.rate * step);
      worker.busySeconds += step;
      worker.bytesRead += share * unit.bytes;
      worker.left -= share;
      if (worker.left < 1e-12) {
        worker.job.shift();
        worker.left = 1;
        if (unit.key === START) continue;
        finished.set(unit.key, (finished.get(unit.key) as number) + 1);
        workSeconds += unit.seconds;
        open--;
      } else if (worker.diesAt <= now) {
        const job = worker.job.filter(({ key }) => key !== START);
        if (unit.key !== START) lostSeconds += (1 - worker.left) * unit.seconds;
        deaths++;
        requeued.push({ job, at: now + cluster.requeueSeconds });
        const backAt = now + cluster.requeueSeconds;
        Object.assign(worker, { job: [], left: 1, started: false, backAt, diesAt: backAt + lifetime() });
      }
      if (worker.diesAt <= now) worker.diesAt = now + lifetime();
    }
  }
  return {
    makespanSeconds: now,
    workSeconds,
    lostSeconds,
    deaths,
    finished,
    busySeconds: workers.map(({ busySeconds }) => busySeconds),
    bytesRead: workers.map(({ bytesRead }) => bytesRead),
  };
}

/** Set the rates: what a unit can take of the storage is bounded by its node's network and by its own computing. */
function shareStorage(busy: readonly Worker[], { nodeBytesPerSecond, storageBytesPerSecond }: Cluster): void {
  const asking = busy.map((worker) => {
    const { seconds, bytes } = worker.job[0] as SimulatedUnit;
    const computing = worker.speed / seconds;
    return { worker, bytes, computing, asked: Math.min(nodeBytesPerSecond, bytes * computing) };
  });
  let rest = storageBytesPerSecond;
  let readers = asking.length;
  for (const { worker, bytes, computing, asked } of asking.toSorted((a, b) => a.asked - b.asked)) {
    const given = Math.min(asked, rest / readers--);
    rest -= given;
    worker.rate = bytes === 0 ? computing : Math.min(computing, given / bytes);
  }
}
