/** The budget that a GPU's memory leaves a model, from its header and its projector's. */
import type { Bench } from "../bench.ts";
import { isRemote, shownName } from "../bytes/remote-name.ts";
import { FormatError } from "../errors.ts";
import { DEFAULT_CONTEXT, F16_CACHE } from "../footprint/context-size.ts";
import { projectorComputeBytes } from "../footprint/projector-buffers.ts";
import { inBuffer } from "../footprint/weight-places.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { type VramAsked, type VramBudget, type VramPlanning, vramBudget } from "../intake/vram-budget.ts";
import { present } from "../present.ts";
import type { VramWish } from "./vram-request.ts";

/** What keeps what is read over the network. */
export type DeskOpener = () => Promise<Pick<Bench, "signal" | "cache">>;

/** `bench` keeps what is read of remote models. Throws UsageError, FileError, FormatError, InfeasibleError. */
export async function fitVram(
  model: string,
  wish: VramWish,
  planning: VramPlanning,
  bench?: DeskOpener,
): Promise<VramBudget> {
  const projectorBytes = wish.mmproj === undefined ? undefined : await projectorOf(wish.mmproj, bench);
  return withHeader(model, bench, (open) => vramBudget(open, { ...askedOf(wish, open), projectorBytes }, planning));
}

/** Bytes of a projector's weights and what it computes in. Throws FileError, FormatError. */
export async function projectorOf(path: string, bench?: DeskOpener): Promise<number> {
  return withHeader(path, bench, ({ model }) => {
    if (model.arch === "clip") {
      return model.tensors.reduce((sum, { bytes }) => sum + inBuffer(bytes), projectorComputeBytes(model));
    }
    throw new FormatError(
      model.path,
      `is no projector (general.architecture is "${model.arch}", expected clip); give the mmproj file with --mmproj`,
    );
  });
}

/** Open a model for its header. What is read here was, or will be, told of by whoever reads the weights. */
export async function withHeader<T>(
  name: string,
  bench: DeskOpener | undefined,
  use: (open: OpenModel) => T,
): Promise<T> {
  const desk = bench !== undefined && isRemote(name) ? await bench() : undefined;
  const open = await openModel(name, desk && { signal: desk.signal, ...present({ cacheDir: desk.cache.dir }) });
  try {
    return use(open);
  } finally {
    await open.close();
  }
}

function askedOf(
  { vram, vramBytes, ram, ramBytes, context, kv, sequences, mmproj }: VramWish,
  { model }: OpenModel,
): VramAsked {
  const trained = Number(model.metadata.get(`${model.arch}.context_length`) ?? 0);
  const tokens = context ?? Math.max(sequences, Math.min(DEFAULT_CONTEXT, trained || DEFAULT_CONTEXT));
  const cache = kv === F16_CACHE ? undefined : [...new Set([kv.k, kv.v])].join(",").toLowerCase();
  const words = present({
    "--vram": vram,
    "--ram": ram,
    "--ctx": String(tokens),
    "--kv": cache,
    "--parallel": sequences === 1 ? undefined : String(sequences),
    "--mmproj": mmproj === undefined ? undefined : shownName(mmproj),
  });
  return {
    vramBytes,
    ramBytes,
    context: { context: tokens, parallel: sequences, kv },
    text: Object.entries(words).flat().join(" "),
  };
}
