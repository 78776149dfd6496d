/** Asks preflight and the embedded engine of one file each whether llama.cpp loads it and decodes a token. */
import type { Library } from "../../src/engine/engine.ts";
import { openModel } from "../../src/gguf/open.ts";
import { openingFinding } from "../../src/preflight/examine-model.ts";
import { FINDING_CODES, type Finding } from "../../src/preflight/finding-codes.ts";
import { headerFindings } from "../../src/preflight/preflight.ts";

export interface Verdicts {
  /** What preflight says that llama.cpp refuses the file for; empty: nothing. */
  readonly preflight: readonly string[];
  /** What the engine says; undefined: it loads the file and decodes a token. */
  readonly engine: string | undefined;
}

export async function askBoth(path: string, library: Pick<Library, "tryLoad">): Promise<Verdicts> {
  const verdict = await library.tryLoad({ model: path, decode: true, threads: 1 });
  return { preflight: await refusals(path), engine: verdict.loads ? undefined : verdict.why };
}

async function refusals(path: string): Promise<string[]> {
  try {
    const file = await openModel(path);
    try {
      const refused = headerFindings(file.model).filter(isRefusal);
      return refused.map(({ code, message }) => `${code}: ${message}`);
    } finally {
      await file.close();
    }
  } catch (error) {
    const finding = openingFinding(error);
    if (finding === undefined) throw error;
    return [`${finding.code}: ${finding.message}`];
  }
}

/** Such a file loads, and the first text that is tokenized ends llama.cpp: no text is tokenized here. */
const ON_FIRST_TEXT = "special-token-absent";

function isRefusal({ code, severity }: Finding): boolean {
  return severity === "error" && FINDING_CODES[code].effect === "refused" && code !== ON_FIRST_TEXT;
}
