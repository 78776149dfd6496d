/**
 * Names and checks of a model in shards, as `llama-gguf-split` writes them: `<prefix>-00001-of-00003.gguf`, each with
 * split.no (from 0), split.count and split.tensors.count. Follows src/llama-model-loader.cpp (llama.cpp v0.5.0).
 */
import { FormatError } from "../errors.ts";
import type { Header } from "./header.ts";

const SHARD_NAME = /^(?<prefix>.*)-(?<number>\d{5})-of-(?<count>\d{5})\.gguf$/s;

export interface ShardName {
  readonly prefix: string;
  /** From 1. */
  readonly number: number;
  readonly count: number;
}

/** The parts of a shard's path, or undefined for other paths. */
export function parseShardName(path: string): ShardName | undefined {
  const groups = SHARD_NAME.exec(path)?.groups;
  if (!groups) return undefined;
  return { prefix: groups.prefix ?? "", number: Number(groups.number), count: Number(groups.count) };
}

/** The path of shard `number` (from 1) of `count`. */
export function shardPath(prefix: string, number: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, "0");
  return `${prefix}-${digits(number)}-of-${digits(count)}.gguf`;
}

/**
 * Decide from the file that was named how many shards the model has, 1 for a whole file.
 * Throws FormatError where it is not the first shard, or where its name and its header disagree.
 */
export function shardCount(path: string, header: Header): number {
  const name = parseShardName(path);
  const count = splitNumber(header, "split.count") ?? 1;
  const number = (splitNumber(header, "split.no") ?? 0) + 1;
  if (count <= 1 && (name === undefined || name.count <= 1)) return 1;
  if (name === undefined) {
    throw new FormatError(
      path,
      `gguf: this is shard ${number} of ${count}, but its name does not end in ${shardPath("", number, count)}; give all shards their names back and open the first`,
      { finding: "shards-inconsistent" },
    );
  }
  if (name.number !== 1) {
    throw new FormatError(
      path,
      `gguf: this is shard ${name.number} of ${name.count}; open the first one, ${shardPath(name.prefix, 1, name.count)}`,
      { finding: "shards-inconsistent" },
    );
  }
  checkShard(path, header, 1, name.count);
  return name.count;
}

/** Throw FormatError unless a header is that of shard `number` (from 1) of `count`. */
export function checkShard(path: string, header: Header, number: number, count: number): void {
  const expected: readonly (readonly [key: string, value: number])[] = [
    ["split.count", count],
    ["split.no", number - 1],
  ];
  for (const [key, value] of expected) {
    const got = splitNumber(header, key);
    if (got === value) continue;
    throw new FormatError(
      path,
      `gguf: named shard ${number} of ${count}, so ${key} should be ${value}, got ${got ?? "no such key"}; the shards are mixed up or renamed, download them again`,
      { finding: "shards-inconsistent" },
    );
  }
}

/** A whole number of a split.* key, or undefined. */
export function splitNumber(header: Header, key: string): number | undefined {
  const value = header.metadata.get(key);
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
}
