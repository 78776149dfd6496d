/** A GET through redirects: the login goes to the first server only, and what each answer says of the file is kept. */
import { FileError } from "../../errors.ts";
import { present } from "../../present.ts";
import type { HttpTarget } from "./range-request.ts";

/** What the Hugging Face Hub says of a file beside its bytes, in the answer that redirects to them. */
export interface Stated {
  /** SHA-256 of its content, in hexadecimal digits: of large files. */
  readonly sha256?: string;
  readonly bytes?: number;
  /** The commit that the asked revision is. */
  readonly commit?: string;
}

export interface Followed {
  readonly response: Response;
  /** Where redirects ended. */
  readonly url: URL;
  readonly stated: Stated;
}

/** As many as browsers follow. */
const MAX_REDIRECTS = 20;

/** Ask `url`, for `target`. Throws FileError for redirects without end, or to what is not https. */
export async function follow(
  target: HttpTarget,
  from: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Followed> {
  let url = from;
  let stated: Stated = {};
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const login =
      target.authorization !== undefined && url.origin === target.url.origin
        ? { Authorization: target.authorization }
        : {};
    const response = await fetch(url, { headers: { ...headers, ...login }, redirect: "manual", signal });
    stated = { ...statedBy(response.headers), ...stated };
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return { response, url, stated };
    await response.body?.cancel();
    url = redirected(target, url, location);
  }
  throw new FileError(target.path, `the server redirects more than ${MAX_REDIRECTS} times; check the address`);
}

function statedBy(headers: Headers): Stated {
  const sha256 = /^"?([0-9a-f]{64})"?$/.exec(headers.get("x-linked-etag")?.trim() ?? "")?.[1];
  const bytes = /^\d{1,15}$/.exec(headers.get("x-linked-size")?.trim() ?? "")?.[0];
  const commit = /^[0-9a-f]{40}$/.exec(headers.get("x-repo-commit")?.trim() ?? "")?.[0];
  return present({ sha256, bytes: bytes === undefined ? undefined : Number(bytes), commit });
}

function redirected({ path }: HttpTarget, from: URL, location: string): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && from.protocol === "http:")) return url;
  throw new FileError(
    path,
    `the server redirects to an address that is not https (${url?.protocol ?? "none"}); check the address`,
  );
}
