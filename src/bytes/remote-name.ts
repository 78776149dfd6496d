/**
 * The names of models that are not on this machine: `https://host/file.gguf`, `http://…`, and
 * `hf:owner/repository/path/file.gguf[@revision]` on the Hugging Face Hub. Pure: recipes name them too.
 */

import { UsageError } from "../errors.ts";
import { present } from "../present.ts";
import { quoteWord } from "../shell-quote.ts";

export interface HubName {
  readonly repository: string;
  /** Path in the repository. */
  readonly file: string;
  /** Branch, tag or commit; absent: main. */
  readonly revision?: string;
}

const SHARD_NUMBER = /-00001-of-(\d{5})\.gguf$/i;

/** Whether a model's name leads to the network. */
export function isRemote(name: string): boolean {
  return /^(https?:\/\/|hf:)/i.test(name);
}

/** Parse the parts of an `hf:` name. Throws UsageError. */
export function parseHubName(name: string): HubName {
  const groups = /^hf:(?<repository>[\w.-]+\/[\w.-]+)\/(?<file>.+?\.gguf)(?:@(?<revision>.+))?$/is.exec(name)?.groups;
  const { repository, file, revision } = groups ?? {};
  const parts = file?.split("/") ?? [""];
  if (repository === undefined || file === undefined || parts.some((part) => /^\.{0,2}$/.test(part))) {
    throw new UsageError(
      `${name}: expected hf:owner/repository/file.gguf, with @revision after it for another than main`,
    );
  }
  return { repository, file, ...present({ revision }) };
}

/** Parse a web address. Throws UsageError, which does not show what may be secret in it. */
export function parseWebName(name: string): URL {
  if (URL.canParse(name)) return new URL(name);
  throw new UsageError(`${shownName(name)}: not a web address; expected https://host/path/model.gguf`);
}

/**
 * A model's name as messages and documents show it: without the query, the fragment and the user of a web address, where
 * signatures and passwords are. Other names are as they were.
 */
export function shownName(name: string): string {
  if (!/^https?:\/\//i.test(name)) return name;
  const bare = name.replace(/[?#].*$/s, "").replace(/^(https?:\/\/)[^/]*@/i, "$1");
  return URL.canParse(bare) ? new URL(bare).href : bare;
}

/** Whether a web address has a query or a user, which shownName() leaves out: what it opens with may not be written down. */
export function hasSecrets(name: string): boolean {
  if (!/^https?:\/\//i.test(name)) return false;
  const { search, username, password } = parseWebName(name);
  return `${search}${username}${password}` !== "";
}

/** The path of the local file that `downloadCommand` makes; a local path as it is. */
export function localName(name: string): string {
  if (/^hf:/i.test(name)) return parseHubName(name).file;
  return isRemote(name) ? shownName(name).replace(/^.*\//s, "") || "model.gguf" : name;
}

/** The command that downloads a remote model, all its shards, into the current folder. */
export function downloadCommand(name: string): string {
  const shown = shownName(name);
  const count = SHARD_NUMBER.exec(localName(name))?.[1];
  if (/^hf:/i.test(name)) {
    const { repository, file, revision } = parseHubName(name);
    const files =
      count === undefined
        ? quoteWord(file)
        : `--include ${quoteWord(file.replace(SHARD_NUMBER, `-*-of-${count}.gguf`))}`;
    const at = revision === undefined ? "" : ` --revision ${quoteWord(revision)}`;
    return `hf download ${repository} ${files}${at} --local-dir .`;
  }
  const url = count === undefined ? shown : shown.replace(SHARD_NUMBER, `-[00001-${count}]-of-${count}.gguf`);
  return `curl -fL -O ${quoteWord(url)}`;
}

/** Refuse a remote model where a local file is needed; `how` says what to type once it is here. Throws UsageError. */
export function requireLocal(name: string, how?: string): void {
  if (!isRemote(name)) return;
  throw new UsageError(
    `${shownName(name)}: this needs the file itself, on this machine; download it (${downloadCommand(name)}) and ${how ?? `give ${localName(name)}`}`,
  );
}
