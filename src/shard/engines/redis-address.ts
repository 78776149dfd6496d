/** Where a Redis is, by its URL: checked before anything is sent there, and named without its password. */
import { isIP } from "node:net";
import { UsageError } from "../../errors.ts";

/** The password of a Redis whose URL has none. */
export const PASSWORD_VARIABLE = "PRISM_REDIS_PASSWORD";
const EXPECTED = "expected redis://[user[:password]@]host[:port][/number], or rediss:// for TLS";

/** The environment of processes that have nothing to do with a Redis. */
export function environmentWithoutPassword(): NodeJS.ProcessEnv {
  const { [PASSWORD_VARIABLE]: _, ...others } = process.env;
  return others;
}

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: { readonly servername?: string };
  /** Without the password: what is printed and kept. */
  readonly url: string;
}

/**
 * Read a URL. Throws UsageError, which never repeats what may hold a password, for one that is none, or that of another
 * machine with neither a password nor TLS: whoever reaches that Redis could give workers their indexes.
 */
export function redisAddress(text: string, env: NodeJS.ProcessEnv = process.env): RedisAddress {
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined || !["redis:", "rediss:"].includes(parsed.protocol) || parsed.hostname === "") {
    throw new UsageError(`--redis: not the URL of a Redis; ${EXPECTED}`);
  }
  const { protocol, hostname, port, pathname, search, hash } = parsed;
  const [, db = "0"] = /^\/?(\d{0,5})$/.exec(pathname) ?? [];
  if (!/^\/?\d{0,5}$/.test(pathname) || search !== "" || hash !== "") {
    throw new UsageError(`--redis: there is more in the URL than PRISM reads; ${EXPECTED}`);
  }
  const username = decoded(parsed.username);
  const password = decoded(parsed.password) || env[PASSWORD_VARIABLE] || "";
  const isTls = protocol === "rediss:";
  if (!isLoopback(hostname) && password === "" && !isTls) {
    throw new UsageError(
      `--redis: ${hostname} is another machine, and the URL has neither a password nor TLS; set one (requirepass) and give it in ${PASSWORD_VARIABLE}, or use rediss://`,
    );
  }
  parsed.password = "";
  const host = hostname.replace(/^\[|\]$/g, "");
  return {
    host,
    port: port === "" ? 6379 : Number(port),
    db: Number(db),
    ...(username !== "" && { username }),
    ...(password !== "" && { password }),
    // by the protocol a server is named by its name only
    ...(isTls && { tls: isIP(host) ? {} : { servername: host } }),
    url: parsed.href,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`--redis: % in a user or password is written %25; ${EXPECTED}`);
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}
