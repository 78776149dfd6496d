/** The parts of the campaign by name, with what each does when nothing else is asked. */
import { attackByDisks } from "./disks.ts";
import { attackByKills } from "./kills.ts";
import { attackByNames } from "./names.ts";
import { attackByPairs } from "./pairs.ts";
import { attackReaders } from "./readers.ts";
import { type Request, type Result, Tally } from "./result.ts";
import { attackServers } from "./servers.ts";

export interface Part {
  /** Cases of a long run. */
  readonly count: number;
  readonly about: string;
  run(request: Request): Promise<Result>;
}

export const PARTS: Readonly<Record<string, Part>> = {
  readers: {
    count: 100_000,
    about: "Hostile input for every document and binary format that PRISM reads",
    run: attackReaders,
  },
  kills: {
    count: 1000,
    about:
      "Commands that are killed or told to stop at random moments (process, group or a process of the engine), then given again",
    run: attackByKills,
  },
  pairs: {
    count: 200,
    about: "Two commands at once on one directory, one output or one cache",
    run: attackByPairs,
  },
  disks: {
    count: 500,
    about:
      "Disks that are full or read-only, sources that change while they are read, caches and directories of runs that rot",
    run: attackByDisks,
  },
  names: {
    count: 300,
    about: "Hostile names of files, models and tensors through the whole command line, its scripts run by a real sh",
    run: attackByNames,
  },
  servers: {
    count: 2000,
    about: "Hostile clients against both servers, `serve` with a scorer that stands in for the engine",
    run: countServers,
  },
};

async function countServers(request: Request): Promise<Result> {
  const { seed, count } = request;
  const tally = new Tally("servers", request);
  const { requests, crashes, hangs, wrong } = await attackServers({ seed, requests: count });
  const id = `servers ${seed}`;
  if (crashes > 0) tally.fail("crash", id, `${crashes} errors that nobody caught`);
  if (hangs > 0) tally.fail("hang", id, `${hangs} connections neither answered nor cut`);
  for (const what of wrong) tally.fail("wrong", id, what);
  tally.peak(process.resourceUsage().maxRSS * 1024);
  tally.ended(requests);
  return tally.result();
}
