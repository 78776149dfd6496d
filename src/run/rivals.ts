/**
 * Files that others made of the run's model, to be judged beside its own: opened and checked before any work, only ever
 * read, and known by their content, so that a run is gone on with only beside the same.
 */
import { baseName } from "../base-name.ts";
import type { Bench } from "../bench.ts";
import { isRemote, parseHubName } from "../bytes/remote-name.ts";
import { hashFile } from "../disk/file-hash.ts";
import { FormatError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { identityOf } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { parseShardName } from "../gguf/shards.ts";
import { engineFindings } from "../intake/engine-findings.ts";
import { localCopy } from "../intake/local-copy.ts";
import { refuseUnloadable } from "../intake/refuse-unloadable.ts";
import { compareVocabularies } from "../intake/same-vocabulary.ts";
import { examineModel } from "../preflight/examine-model.ts";
import { present } from "../present.ts";

export interface Rival {
  /** Of its row: the name of its file. */
  readonly label: string;
  /** Where it was fetched from: `hf:owner/repo/file.gguf@commit`; absent for files of this machine. */
  readonly from?: string;
  /** Open as long as the run lasts. */
  readonly model: OpenModel;
  readonly identity: string;
  /** Of a single file. */
  readonly sha256?: string;
}

export interface RivalRules {
  /** What is compared has no value per token: unused tokens at the end may be more or fewer. */
  readonly padding: boolean;
  /** Take also what llama.cpp is known not to load. */
  readonly forceFindings: boolean;
}

/**
 * Open the files, fetched where they are not here. Throws FileError, FormatError for a file of another model or one that
 * llama.cpp doesn't load. The caller closes them.
 */
export async function openRivals(
  names: readonly string[],
  reference: OpenModel,
  rules: RivalRules,
  bench: Bench,
): Promise<Rival[]> {
  const labels = rivalLabels(names);
  const opened: OpenModel[] = [];
  const rivals: Rival[] = [];
  try {
    for (const [index, name] of names.entries()) {
      const { path, from } = isRemote(name) ? await localCopy(name, bench) : { path: name };
      const model = await openLocalModel(path);
      opened.push(model);
      await checkRival(model, reference, rules, bench);
      const identity = await identityOf(model, bench);
      const sha256 = model.model.shards.length === 1 ? await hashFile(path) : undefined;
      rivals.push({ label: labels[index] ?? baseName(name), model, identity, ...present({ from, sha256 }) });
    }
    return rivals;
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

export async function closeRivals(rivals: readonly Rival[]): Promise<void> {
  await closeAll(rivals.map(({ model }) => model));
}

async function closeAll(models: readonly OpenModel[]): Promise<void> {
  for (const model of models) await model.close();
}

/** How `asked` speaks of it: another file of its name is another rival. */
export function describeRival({ label, identity }: Pick<Rival, "label" | "identity">): string {
  return `${label} (identity ${identity})`;
}

async function checkRival(rival: OpenModel, reference: OpenModel, rules: RivalRules, bench: Bench): Promise<void> {
  const { model } = rival;
  const of = `the run's model ${reference.path}`;
  if (model.arch !== reference.model.arch) {
    throw new FormatError(
      rival.path,
      `is a ${model.arch || "file without an architecture"} and ${of} a ${reference.model.arch}: not files of one model; give a --baseline that was made of the same`,
    );
  }
  const shapes = new Map(reference.model.tensors.map(({ name, shape }) => [name, shape.join(" x ")]));
  const weights = model.tensors.filter((tensor) => shapes.has(tensor.name) && ineligibleReason(tensor) === undefined);
  if (weights.length === 0) {
    throw new FormatError(rival.path, `has no tensor of ${of}; give a --baseline that was made of the same`);
  }
  const other = model.tensors.find(({ name, shape }) => (shapes.get(name) ?? shape.join(" x ")) !== shape.join(" x "));
  if (other !== undefined) {
    throw new FormatError(
      rival.path,
      `its ${other.name} is ${other.shape.join(" x ")}, that of ${of} ${shapes.get(other.name)}: not files of one model; give a --baseline that was made of the same`,
    );
  }
  compareVocabularies(model, reference.model, { padding: rules.padding });
  const found = await examineModel(rival, { signal: bench.signal });
  found.push(...(await engineFindings(model, found, bench)));
  // what was published is quantized
  const findings = found.filter(({ code }) => code !== "already-quantized");
  if (!rules.forceFindings) refuseUnloadable(model, findings, bench.engine);
  for (const { severity, message, remedy } of findings) {
    if (severity !== "info") bench.progress.note(`! ${rival.path}: ${message}; ${remedy}`);
  }
}

/** Names of files, with their owner or folder before them where several are called the same. */
export function rivalLabels(names: readonly string[]): string[] {
  const short = names.map(fileLabel);
  const long = names.map((name, index) => (isUnique(short, index) ? short[index] : `${ownerOf(name)}/${short[index]}`));
  return long.map((label, index) => {
    const before = long.slice(0, index).filter((other) => other === label).length;
    return before === 0 ? (label ?? "") : `${label} (${before + 1})`;
  });
}

function isUnique(labels: readonly string[], index: number): boolean {
  return labels.filter((label) => label === labels[index]).length === 1;
}

/** Without the number of its first shard. */
function fileLabel(name: string): string {
  const file = baseName(withoutRevision(name));
  const shard = parseShardName(file);
  return shard === undefined ? file : `${shard.prefix}.gguf`;
}

function ownerOf(name: string): string {
  if (/^hf:/i.test(name)) return parseHubName(name).repository.replace(/\/.*$/, "");
  return baseName(withoutRevision(name).replace(/[\\/][^\\/]*$/, "")) || ".";
}

function withoutRevision(name: string): string {
  if (/^hf:/i.test(name)) return parseHubName(name).file;
  return isRemote(name) ? name.replace(/[?#].*$/s, "") : name;
}
