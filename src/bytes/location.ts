/** Where a model lies: a local path, a web address or a file on the Hugging Face Hub, and how its shards are found. */
import { UsageError } from "../errors.ts";
import type { HttpTarget } from "./http/range-request.ts";
import { isRemote, parseHubName, parseWebName, shownName } from "./remote-name.ts";

export interface Location {
  /** As messages and documents show it: without secrets. */
  readonly path: string;
  /** What shard names are derived from: the path without revision. */
  readonly file: string;
  /** Absent for local files. */
  readonly http?: HttpTarget;
  /** The location of another file beside this one. */
  beside(file: string): Location;
}

const HUB = "https://huggingface.co";

/** Locate a model by the name a user gave. HF_TOKEN and HF_ENDPOINT count for `hf:` names only. Throws UsageError. */
export function locate(name: string, env: NodeJS.ProcessEnv = process.env): Location {
  if (!isRemote(name)) return { path: name, file: name, beside: (file) => locate(file, env) };
  return /^hf:/i.test(name) ? locateOnHub(name, env) : locateOnWeb(parseWebName(name));
}

function locateOnWeb(url: URL): Location {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  bare.hash = "";
  const path = shownName(bare.href);
  // fetch refuses addresses with a user; a browser would send the same
  const login = [url.username, url.password].map((part) => decode(part)).join(":");
  return {
    path,
    file: path,
    http: {
      url: bare,
      path,
      ...(login === ":" ? {} : { authorization: `Basic ${Buffer.from(login).toString("base64")}` }),
    },
    beside(file) {
      const other = new URL(file);
      other.search = url.search;
      other.username = url.username;
      other.password = url.password;
      return locateOnWeb(other);
    },
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // a lone % stands for itself
    return part;
  }
}

function locateOnHub(name: string, env: NodeJS.ProcessEnv): Location {
  const { repository, file, revision } = parseHubName(name);
  const endpoint = env.HF_ENDPOINT || HUB;
  if (!/^https?:\/\//i.test(endpoint) || !URL.canParse(endpoint)) {
    throw new UsageError(`HF_ENDPOINT: expected a web address like ${HUB}, got "${shownName(endpoint)}"`);
  }
  const token = env.HF_TOKEN?.trim();
  if (token !== undefined && /[^!-~]/.test(token)) {
    throw new UsageError("HF_TOKEN: holds characters that no token has; copy it again");
  }
  const path = file.split("/").map(encodeURIComponent).join("/");
  const at = revision === undefined ? "" : `@${revision}`;
  return {
    path: name,
    file: `hf:${repository}/${file}`,
    http: {
      url: new URL(
        `${endpoint.replace(/\/+$/, "")}/${repository}/resolve/${encodeURIComponent(revision ?? "main")}/${path}`,
      ),
      path: name,
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
    beside: (other) => locateOnHub(`${other}${at}`, env),
  };
}
