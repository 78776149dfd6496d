/** Workers as the machine sees them, and what they leave in a campaign. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Campaign } from "../../src/shard/campaign-document.ts";

/** Processes that run below this one. */
export function descendants(pid: number): number[] {
  try {
    const children = execFileSync("pgrep", ["-P", String(pid)], { encoding: "utf8" })
      .trim()
      .split("\n")
      .map(Number);
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

export async function expectGone(processes: readonly number[]): Promise<void> {
  for (let tries = 0; processes.some(isRunning) && tries < 100; tries++) await sleep(100);
  expect(processes.filter(isRunning)).toEqual([]);
}

/** Ids of processes whose attempts lie in the campaign. */
export function beginners(campaign: string): Set<number> {
  const files = readdirSync(campaign).includes("attempts") ? readdirSync(join(campaign, "attempts")) : [];
  return new Set(
    files.flatMap((file) => {
      try {
        const { pid, error } = JSON.parse(readFileSync(join(campaign, "attempts", file), "utf8")) as Record<
          string,
          unknown
        >;
        return error === undefined ? [Number(pid)] : [];
      } catch {
        // it ended meanwhile, or was written just now
        return [];
      }
    }),
  );
}

/** kill -9 of workers amid units, no process twice, until `count` have died of it or `isOver`. Returns how many did. */
export async function killWorkers(campaign: string, count: number, isOver: () => boolean): Promise<number> {
  const killed = new Set<number>();
  while (killed.size < count && !isOver()) {
    const victim = [...beginners(campaign)].find((pid) => !killed.has(pid) && isRunning(pid));
    if (victim === undefined) {
      await sleep(5);
      continue;
    }
    process.kill(victim, "SIGKILL");
    killed.add(victim);
  }
  return killed.size;
}

/** Every unit has one part, and nothing else lies there. */
export async function expectOnePartEach(campaign: string, endings: readonly string[]): Promise<void> {
  const found = readdirSync(join(campaign, "parts")).map((file) => file.replace(/\.[0-9a-f]{32}\./, "."));
  const { units } = JSON.parse(await readFile(join(campaign, "campaign.json"), "utf8")) as Campaign;
  expect(found.sort()).toEqual(units.flatMap(({ key }) => endings.map((ending) => `${key}.${ending}`)).sort());
}

/** An analysis without what differs between two of the same. */
export const timeless = (text: string) => text.replaceAll(/"(createdAt|elapsedMs)": ?[^,}\n]*/g, "");
