/** A disk of a given size in a folder, where the system lets us mount one. */
import { spawnSync } from "node:child_process";
import { cp, mkdir, rm } from "node:fs/promises";

export interface Disk {
  resize(bytes: number): void;
  allowWriting(allowed: boolean): void;
  unmount(): void;
}

/** Put a disk over a folder, with what was in it; why not, where that can't be done. */
export async function mountDisk(folder: string, bytes: number): Promise<Disk | string> {
  const aside = `${folder}-before`;
  await cp(folder, aside, { recursive: true, preserveTimestamps: true });
  await mkdir(folder, { recursive: true });
  // room for what was there, and so many bytes more
  const refused = mount("-t", "tmpfs", "-o", `size=${2 ** 26}`, "tmpfs", folder);
  if (refused === undefined) await cp(aside, folder, { recursive: true, preserveTimestamps: true });
  await rm(aside, { recursive: true });
  if (refused !== undefined) return refused;
  const disk: Disk = {
    resize: (bytes) => require(mount("-o", `remount,size=${bytes}`, folder)),
    allowWriting: (allowed) => require(mount("-o", `remount,${allowed ? "rw" : "ro"}`, folder)),
    unmount: () => void spawnSync("umount", ["-l", folder]),
  };
  disk.resize(usedBytes(folder) + bytes);
  return disk;
}

function usedBytes(folder: string): number {
  const { stdout } = spawnSync("df", ["--output=used", "-B1", folder], { encoding: "utf8" });
  return Number(stdout.split("\n")[1]);
}

function mount(...args: string[]): string | undefined {
  const { status, stderr, error } = spawnSync("mount", args, { encoding: "utf8" });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}

function require(refused: string | undefined): void {
  if (refused !== undefined) throw new Error(refused);
}
