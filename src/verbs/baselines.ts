/** What --baseline names: presets, files that others made, and files of types. */
import { createHash } from "node:crypto";
import { baseName } from "../base-name.ts";
import { isRemote } from "../bytes/remote-name.ts";
import { fileExists } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import { FILE_TYPE_NAMES, type FileType, parseFileType } from "../ggml/file-types.ts";
import type { NamedTemplate } from "../run/run-request.ts";
import { isGguf, loadLocalTemplate } from "./load-template.ts";

export interface Baselines {
  readonly baselines: readonly FileType[];
  readonly rivals: readonly string[];
  readonly templates: readonly NamedTemplate[];
}

/** Sort them by what they are. Throws UsageError for what is neither a preset nor a file, and what reading a template throws. */
export async function baselinesOf(asked: readonly string[] | string = []): Promise<Baselines> {
  const baselines = new Set<FileType>();
  const rivals = new Set<string>();
  const templates: NamedTemplate[] = [];
  for (const name of await namesOf(typeof asked === "string" ? [asked] : asked)) {
    const preset = parseFileType(name);
    if (preset !== undefined) baselines.add(preset);
    else if (isRemote(name) || (await isGguf(name))) rivals.add(name);
    else if (await fileExists(name)) templates.push(await namedTemplate(name, templates));
    else throw unknown(name);
  }
  return { baselines: [...baselines], rivals: [...rivals], templates };
}

/** A comma separates names, unless it is part of the name of a file. */
async function namesOf(asked: readonly string[]): Promise<string[]> {
  const names: string[] = [];
  for (const text of asked) {
    const isOne = text.includes(",") && (await fileExists(text));
    names.push(...(isOne ? [text] : text.split(",")).map((name) => name.trim()).filter((name) => name !== ""));
    if (names.length === 0) throw unknown(text);
  }
  return names;
}

async function namedTemplate(path: string, others: readonly NamedTemplate[]): Promise<NamedTemplate> {
  const template = await loadLocalTemplate(path);
  const { name: _, ...content } = template;
  const sha256 = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  const short = `types of ${baseName(path)}`;
  const same = others.filter(({ label }) => label === short || label.startsWith(`${short} (`)).length;
  return { label: same === 0 ? short : `${short} (${same + 1})`, sha256, template };
}

function unknown(name: string): UsageError {
  return new UsageError(
    `--baseline "${name}": neither a file nor a preset of llama-quantize; give a GGUF, a tensor-types.txt, or presets like Q3_K_M,Q4_K_M (${FILE_TYPE_NAMES.join(", ")})`,
  );
}
