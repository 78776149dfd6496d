/** Where the Hub is and who asks it: address and token, as its own tools find them. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../errors.ts";

export const HUB_URL = "https://huggingface.co";

/** The Hub that a person names, HF_ENDPOINT's, or huggingface.co; without a slash at its end. Throws UsageError. */
export function hubAddress(named: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const address = named ?? (env.HF_ENDPOINT?.trim() || HUB_URL);
  const option = named === undefined ? "HF_ENDPOINT" : "--hub-url";
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new UsageError(`${option}: expected a web address like ${HUB_URL}, without a user; check its spelling`);
  }
  // a token sent in the clear is anybody's
  if (url.protocol === "http:" && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)) {
    throw new UsageError(`${option}: the token would go to ${url.host} unencrypted; expected an address with https:`);
  }
  return address.replace(/\/+$/, "");
}

/**
 * HF_TOKEN, or what `hf auth login` wrote (HF_TOKEN_PATH, HF_HOME/token); undefined where there is none. Throws UsageError
 * for what is no token, without showing it.
 */
export async function hubToken(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const named = env.HF_TOKEN?.trim();
  if (named) return checkedToken("HF_TOKEN", named);
  const path = env.HF_TOKEN_PATH || join(hubHome(env), "token");
  const kept = (await readFile(path, "utf8").catch(() => "")).trim();
  return kept === "" ? undefined : checkedToken(path, kept);
}

function hubHome(env: NodeJS.ProcessEnv): string {
  return env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
}

function checkedToken(where: string, token: string): string {
  if (/^hf_[!-~]+$/.test(token)) return token;
  throw new UsageError(`${where}: a token of the Hub begins with hf_ and has no spaces; copy it again`);
}
