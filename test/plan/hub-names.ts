/**
 * How llama.cpp v0.5.0 comes from `-hf repo:TAG` to files, after common/download.cpp: `get_gguf_split_info`,
 * `gguf_filename_is_model`, `find_best_model` and `get_split_files`.
 */
interface SplitInfo {
  readonly prefix: string;
  readonly tag: string;
  readonly index: number;
  readonly count: number;
}

export function splitInfo(path: string): SplitInfo | undefined {
  if (!path.endsWith(".gguf")) return undefined;
  const stem = path.slice(0, -".gguf".length);
  const [, prefix = stem, index = "1", count = "1"] = /^(.+)-([0-9]{5})-of-([0-9]{5})$/i.exec(stem) ?? [];
  const [, tag = ""] = /[-.]([A-Z0-9_]+)$/i.exec(prefix) ?? [];
  return { prefix, tag: tag.toUpperCase(), index: Number(index), count: Number(count) };
}

function isModel(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const others = ["mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-"];
  return path.endsWith(".gguf") && !others.some((other) => name.includes(other));
}

/** The file that `-hf repo:tag` starts with; undefined where there is none. */
export function findModel(files: readonly string[], tag: string): string | undefined {
  for (const one of tag === "" ? ["Q4_K_M", "Q8_0"] : [tag]) {
    const found = files.find((path) => isModel(path) && new RegExp(`${one}[.-]`, "i").test(path) && isFirst(path));
    if (found !== undefined) return found;
  }
  return tag === "" ? files.find((path) => isModel(path) && isFirst(path)) : undefined;
}

function isFirst(path: string): boolean {
  const { count, index } = splitInfo(path) ?? { count: 1, index: 1 };
  return count <= 1 || index === 1;
}

/** All files that are downloaded with it. */
export function filesOf(files: readonly string[], model: string): string[] {
  const split = splitInfo(model);
  if (split === undefined || split.count <= 1) return [model];
  return files.filter((path) => {
    const other = splitInfo(path);
    return other?.count === split.count && other.prefix === split.prefix;
  });
}
