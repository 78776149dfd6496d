/**
 * Under which names a server without a key answers. A web page can point a name of its own at this machine (DNS
 * rebinding) and is then taken by the browser for the server's own page: only names that no stranger can point are taken.
 */
import { isIP } from "node:net";
import { hostname } from "node:os";

const LOOPBACK = ["localhost", "127.0.0.1", "::1"];

/** Whether only programs of this machine reach an address. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host) || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Whether a Host header is one of ours: this machine's loopback names, the address that is listened on and what is
 * allowed besides; for a server that listens to other machines also any IP address and this machine's name.
 */
export function createHostRule(bound: string, allowed: readonly string[]): (header: string | undefined) => boolean {
  const names = new Set([...LOOPBACK, bound, ...allowed].map(bare));
  const open = !isLoopback(bound);
  if (open) names.add(bare(hostname()));
  return (header) => {
    const name = nameOf(header ?? "");
    return name !== undefined && (names.has(name) || (open && isIP(name) !== 0));
  };
}

/** Whether a page of this machine asks: any port of it. */
export function isLocalOrigin(origin: string): boolean {
  const [, authority] = /^https?:\/\/([^/]*)$/.exec(origin) ?? [];
  const name = nameOf(authority ?? "");
  return name !== undefined && isLoopback(name);
}

/** The name of `name`, `name:port`, `[v6]` or `[v6]:port`. */
function nameOf(header: string): string | undefined {
  const [, name] = /^(\[[\da-f:.]+\]|[^:[\]@,\s/]+)(?::\d{1,5})?$/i.exec(header) ?? [];
  return name === undefined ? undefined : bare(name);
}

function bare(name: string): string {
  return name
    .toLowerCase()
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");
}
