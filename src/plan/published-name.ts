/**
 * Names of quantized files that other people's tools understand: `Model-PRISM-4.85bpw-Q4_K_M.gguf`. The tag is that of the
 * preset nearest in size. It stands last, where llama.cpp (`get_gguf_split_info`, v0.5.0) takes a file's tag from, and in
 * a form that the Hub's parseGGUFQuantLabel finds, so that `llama-cli -hf repo:TAG` and `ollama run hf.co/repo:TAG` come
 * to the file; bits per weight tell the rest.
 */
import { baseName } from "../base-name.ts";
import { localName } from "../bytes/remote-name.ts";
import { COMMON_FILE_TYPES, FILE_TYPE_NAMES, type FileType } from "../ggml/file-types.ts";
import { presetFileBytes } from "./budget.ts";
import type { Plan } from "./plan.ts";
import { planHeaderBytes } from "./predict.ts";
import { tensorChoices } from "./replan.ts";

/**
 * The presets that lend their names, those that most people publish first: at equal bytes theirs is taken. Names that
 * promise a layout (Q4_0, IQ4_NL, MXFP4_MOE, TQ2_0), which mixed types don't have, are not among them.
 */
export const TAGS = [
  ...COMMON_FILE_TYPES,
  "Q2_K_S",
  "IQ3_M",
  "IQ3_S",
  "IQ3_XS",
  "IQ3_XXS",
  "IQ2_M",
  "IQ2_S",
  "IQ2_XS",
  "IQ2_XXS",
  "IQ1_M",
  "IQ1_S",
] as const satisfies readonly FileType[];

/** What the codes of a file are: rounded as llama-quantize does, or chosen with error feedback. */
export type Codes = "plan" | "feedback";

export interface NameRequest {
  /** The model as a person calls it: general.name, or the name of its file. */
  readonly model: string;
  readonly bpw: number;
  /** Of the whole file. */
  readonly fileBytes: number;
  /** Bytes of the model's file under each preset. */
  readonly presets: ReadonlyMap<FileType, number>;
  readonly kind?: Codes | undefined;
  /** Tags that other files of the repository have. */
  readonly taken?: Iterable<string> | undefined;
}

export interface PublishedName {
  readonly name: string;
  /** What `-hf repo:TAG` takes. */
  readonly tag: FileType;
}

/** The name of a quantized file in a repository, with a tag that no other file there has while any is left. */
export function publishedName({ model, bpw, fileBytes, presets, kind, taken = [] }: NameRequest): PublishedName {
  const others = new Set(taken);
  const byDistance = [...presets]
    .map(([tag, bytes]) => ({ tag, distance: Math.abs(bytes - fileBytes) }))
    .sort((a, b) => a.distance - b.distance);
  const { tag } = byDistance.find(({ tag }) => !others.has(tag)) ?? byDistance[0] ?? { tag: "Q4_K_M" as const };
  const codes = kind === "feedback" ? "PRISM-EF" : "PRISM";
  return { name: `${publishedStem(model)}-${codes}-${bpw.toFixed(2)}bpw-${tag}.gguf`, tag };
}

/** What a file is besides its plan: of error feedback, of other bits than predicted, one of a family. */
export interface PlannedFile {
  readonly kind?: Codes | undefined;
  readonly bpw?: number | undefined;
  readonly fileBytes?: number | undefined;
  readonly taken?: Iterable<string> | undefined;
}

/** The name of a plan's file; by default as the plan predicts it. */
export function plannedName(plan: Plan, file: PlannedFile = {}): PublishedName {
  const { predicted } = plan;
  return publishedName({
    model: modelStem(plan),
    kind: file.kind ?? (plan.feedback === undefined ? "plan" : "feedback"),
    bpw: file.bpw ?? predicted.bpw,
    fileBytes: file.fileBytes ?? predicted.fileBytes,
    presets: presetSizes(plan),
    taken: file.taken,
  });
}

/** Bytes of a plan's model under each preset that lends its name. */
export function presetSizes(plan: Plan): ReadonlyMap<FileType, number> {
  const context = {
    facts: plan.facts,
    headerBytes: planHeaderBytes(plan),
    imatrix: plan.imatrix !== undefined,
    tensors: tensorChoices(plan),
  };
  return new Map(TAGS.map((tag) => [tag, presetFileBytes(tag, context)]));
}

/** Names that converters write where they know none. */
const NO_NAMES = /^(|\.|llm|main|models?|tmp|unknown|untitled|checkpoint[-_ ]?\d*|[0-9a-f]{32,64})$/i;

/** The model's own name where it has one, else that of its file. */
function modelStem({ source }: Pick<Plan, "source">): string {
  const named = baseName(source.name ?? "").trim();
  const file = baseName(localName(source.path)).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
  return NO_NAMES.test(named) || publishedStem(named) === NAMELESS ? file : named;
}

/** Characters that a name begins with, besides what is added. */
const STEM_CHARACTERS = 80;
const NAMELESS = "model";

/** Types by name as a part of a name of its own: a tool would take them for this file's. */
const LABELS = new RegExp(`(^|[-_.])(UD-)?(${[...FILE_TYPE_NAMES].sort(longerFirst).join("|")})(?=$|[-_.])`, "gi");

/** File names with these in them are no models to llama.cpp, which looks for them in lower case. */
const SIDECARS = /mmproj|imatrix|mtp-|eagle3-|dflash-|dspark-/gi;

/** A name from a stranger's file as the beginning of a file's name: ASCII letters, digits, dots, dashes and underscores. */
export function publishedStem(name: string): string {
  const words = baseName(name)
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(/\.gguf$/i, "")
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(LABELS, "")
    .replace(SIDECARS, (word) => word.toUpperCase())
    .replace(/[-_.]*-[-_.]*/g, "-")
    .replace(/\.{2,}/g, ".")
    .slice(0, STEM_CHARACTERS)
    .replace(/^[-_.]+|[-_.]+$/g, "");
  return words || NAMELESS;
}

function longerFirst(one: string, other: string): number {
  return other.length - one.length;
}
