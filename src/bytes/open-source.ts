/** Opens bytes by the name a person gave: a local path, a web address or a file on the Hugging Face Hub. */
import { createHttpSession, type HttpOptions } from "./http-source.ts";
import { locate } from "./location.ts";
import { type ByteSource, openFileSource } from "./source.ts";

/** Throws as openFileSource() and a session's open() do, UsageError for a name that is none. */
export async function openSource(name: string, options: HttpOptions = {}): Promise<ByteSource> {
  const { path, http } = locate(name);
  return http === undefined ? openFileSource(path) : createHttpSession(options).open(http);
}
