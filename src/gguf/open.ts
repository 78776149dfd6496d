/**
 * Opens a model: a single GGUF file or all shards of one, on this machine or on a server. In comes a path or address, out
 * comes an OpenModel whose `model` was checked and whose data is read at positions; only headers are ever held in memory.
 */
import { createHash } from "node:crypto";
import type { FileChange } from "../bytes/file-revision.ts";
import { createHttpSession, type HttpOptions } from "../bytes/http-source.ts";
import { type Location, locate } from "../bytes/location.ts";
import { readAhead } from "../bytes/read-ahead.ts";
import { requireLocal } from "../bytes/remote-name.ts";
import { type ByteSource, openFileSource } from "../bytes/source.ts";
import { FileError, FormatError } from "../errors.ts";
import { bpw } from "../ggml/file-bytes.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { readFacts } from "./facts.ts";
import { type Header, hashHeader, readHeader } from "./header.ts";
import type { Model, OpenModel, TensorInfo } from "./model.ts";
import { checkShard, parseShardName, shardCount, shardPath, splitNumber } from "./shards.ts";

interface OpenShard {
  /** Keeps what it read where reading again would cost. */
  readonly source: ByteSource;
  readonly header: Header;
}

/** What opens the files of a model; the sources stay in `opened`, to be closed. */
type OpenSource = (location: Location) => Promise<ByteSource>;

/**
 * Open the model at `path`: a GGUF file or the first of its shards, as a local path, `https://…`, or
 * `hf:owner/repository/file.gguf[@revision]`. The options are for remote models.
 * Throws FileError where a file is missing or not readable, FormatError where one is damaged or is another shard,
 * UsageError for a name that is none.
 */
export async function openModel(path: string, options: HttpOptions = {}): Promise<OpenModel> {
  const location = locate(path);
  const session = createHttpSession(options);
  const sources: ByteSource[] = [];
  try {
    const shards = await openShards(location, async ({ path, http }) => {
      const source = http === undefined ? await openFileSource(path) : await session.open(http);
      sources.push(source);
      return http === undefined ? source : readAhead(source);
    });
    return new ModelSources(await describe(location.path, shards), sources);
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
}

/** Open a model that must be on this machine. Throws UsageError for others, which says how to get them. */
export async function openLocalModel(path: string): Promise<OpenModel> {
  requireLocal(path);
  return openModel(path);
}

async function openShards(location: Location, openSource: OpenSource): Promise<[OpenShard, ...OpenShard[]]> {
  const open = async (shard: Location): Promise<OpenShard> => {
    const source = await openSource(shard);
    return { source, header: await readHeader(source) };
  };
  const first = await open(location);
  const count = shardCount(location.file, first.header);
  const shards: [OpenShard, ...OpenShard[]] = [first];
  const prefix = parseShardName(location.file)?.prefix ?? "";
  for (let number = 2; number <= count; number++) {
    const shard = await open(location.beside(shardPath(prefix, number, count))).catch((error: unknown) => {
      throw error instanceof FileError ? missingShard(error, number, count, location) : error;
    });
    checkShard(shard.source.path, shard.header, number, count);
    shards.push(shard);
  }
  return shards;
}

function missingShard(error: FileError, number: number, count: number, { http }: Location): FileError {
  const remedy = http === undefined ? `; put all ${count} shards into one folder` : "";
  return new FileError(
    error.path,
    `shard ${number} of ${count} can't be opened${remedy} (${error.message.slice(error.path.length + 2)})`,
    { cause: error, finding: "shards-incomplete" },
  );
}

/** Characters of a model's name that are kept: documents hold no more, and nobody reads them. */
const MAX_NAME = 1000;

async function describe(path: string, shards: [OpenShard, ...OpenShard[]]): Promise<Model> {
  const { header } = shards[0];
  const hash = createHash("sha256");
  for (const shard of shards) await hashHeader(shard.source, shard.header.bytes, hash);
  const arch = header.metadata.get("general.architecture");
  const name = header.metadata.get("general.name");
  return {
    path,
    shards: shards.map(({ source }) => ({ path: source.path, fileBytes: source.byteLength })),
    ggufVersion: header.version,
    arch: typeof arch === "string" ? arch.slice(0, MAX_NAME) : "",
    ...(typeof name === "string" ? { name: name.slice(0, MAX_NAME) } : {}),
    metadata: header.metadata,
    keyTypes: header.keyTypes,
    keyValues: header.keyValues,
    alignment: header.alignment,
    tensors: joinTensors(path, shards),
    headerHash: hash.digest("hex"),
  };
}

function joinTensors(path: string, shards: readonly [OpenShard, ...OpenShard[]]): TensorInfo[] {
  const owner = new Map<string, string>();
  const tensors: TensorInfo[] = [];
  shards.forEach(({ source, header }, shard) => {
    for (const tensor of header.tensors) {
      const other = owner.get(tensor.name);
      if (other !== undefined) {
        throw new FormatError(
          source.path,
          `gguf: tensor ${tensor.name} is in ${other} too; the shards are mixed up, download them again`,
          { finding: "shards-inconsistent" },
        );
      }
      owner.set(tensor.name, source.path);
      tensors.push({ ...tensor, shard });
    }
  });
  const total = splitNumber(shards[0].header, "split.tensors.count");
  if (shards.length > 1 && total !== tensors.length) {
    throw new FormatError(
      path,
      `gguf: split.tensors.count is ${total ?? "missing"} but the ${shards.length} shards hold ${tensors.length} tensors; the shards are mixed up, download them again`,
      { finding: "shards-inconsistent" },
    );
  }
  return tensors;
}

async function closeAll(sources: readonly ByteSource[]): Promise<void> {
  await Promise.all(sources.map((source) => source.close()));
}

class ModelSources implements OpenModel {
  readonly model: Model;
  readonly path: string;
  readonly fileBytes: number;
  readonly revision: string | undefined;
  readonly #sources: readonly ByteSource[];
  #facts: ModelFacts | undefined;
  #closed = false;

  constructor(model: Model, sources: readonly ByteSource[]) {
    this.model = model;
    this.path = model.path;
    this.fileBytes = model.shards.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
    this.#sources = sources;
    const revisions = sources.map(({ revision, byteLength }) => revision && `${byteLength} bytes, ${revision}`);
    this.revision = revisions.includes(undefined) ? undefined : revisions.join("; ");
  }

  get facts(): ModelFacts {
    this.#facts ??= readFacts(this.model);
    return this.#facts;
  }

  get bpw(): number {
    return bpw(this.model.tensors);
  }

  async change(): Promise<FileChange | undefined> {
    const changes = (await Promise.all(this.#sources.map((source) => source.change?.()))).filter((found) => found);
    return changes.find((found) => found?.isCertain) ?? changes[0];
  }

  async settle(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.settle?.()));
  }

  async read(tensor: TensorInfo, start: number, bytes: number): Promise<Uint8Array> {
    const source = this.#sources[tensor.shard];
    if (source === undefined || start < 0 || bytes < 0 || start + bytes > tensor.bytes) {
      throw new RangeError(`tensor ${tensor.name} has ${tensor.bytes} bytes, asked for ${bytes} from ${start}`);
    }
    return source.read(tensor.offset + start, bytes);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await closeAll(this.#sources);
  }
}
