/** The file that --template names, whichever kind it is: a GGUF of any place, a plan, a published recipe, or patterns. */
import type { BenchOpener } from "../bench.ts";
import { isRemote, shownName } from "../bytes/remote-name.ts";
import { readDocumentText } from "../documents/document-file.ts";
import type { FileLimit } from "../documents/whole-file.ts";
import { readHead } from "../documents/whole-file.ts";
import { FormatError } from "../errors.ts";
import { FILE_TYPE_NAMES, FILE_TYPES } from "../ggml/file-types.ts";
import { isQuantizedType } from "../ggml/tensor-types.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { openNamedModel } from "../intake/open-named-model.ts";
import { parsePatternFile } from "../plan/pattern-file.ts";
import type { Template } from "../plan/template.ts";
import { isJson, loadPlanOrRecipe } from "./load-document.ts";

/** Longer than the recipe of any model: a few hundred lines, some of a thousand characters. */
const PATTERNS: FileLimit = {
  noun: "a file of PATTERN=TYPE",
  maxBytes: 2 ** 22,
  remedy: "give a GGUF, a plan, a recipe or a tensor-types.txt",
};

/** Read a template; of a remote GGUF only the header is fetched. Throws FileError, FormatError, UsageError. */
export async function loadTemplate(name: string, bench: BenchOpener): Promise<Template> {
  if (isRemote(name)) {
    const { model } = await openNamedModel(name, await bench());
    return closing(model);
  }
  return loadLocalTemplate(name);
}

/** Read one of this machine. */
export async function loadLocalTemplate(name: string): Promise<Template> {
  if (await isGguf(name)) return closing(await openModel(name));
  if (!(await isJson(name))) {
    const overrides = parsePatternFile(await readDocumentText(name, PATTERNS), name);
    return { kind: "patterns", name, overrides };
  }
  const document = await loadPlanOrRecipe(name);
  if (document.schema === "prism.recipe/1") return { kind: "recipe", name, recipe: document };
  const { facts, tensors, baseFileType } = document;
  return { kind: "tensors", name, arch: facts.arch, layers: facts.layers, tensors, base: baseFileType };
}

/** Whether a file begins as a GGUF does, or is named like one. */
export async function isGguf(path: string): Promise<boolean> {
  if (/\.gguf$/i.test(path)) return true;
  const head = await readHead(path, 4).catch(() => Buffer.alloc(0));
  return head.toString("latin1") === "GGUF";
}

async function closing(open: OpenModel): Promise<Template> {
  const { model, facts } = open;
  await open.close();
  const name = shownName(model.path);
  if (model.arch === "") throw new FormatError(name, "is no model (no general.architecture); give one, or a recipe");
  return {
    kind: "tensors",
    name,
    arch: facts.arch,
    layers: facts.layers,
    tensors: model.tensors,
    base: presetOf(open),
  };
}

/** What general.file_type says, where other types can stand beside it. */
function presetOf({ model }: OpenModel) {
  const id = model.metadata.get("general.file_type");
  return FILE_TYPE_NAMES.find((name) => FILE_TYPES[name].id === id && isQuantizedType(FILE_TYPES[name].defaultType));
}
