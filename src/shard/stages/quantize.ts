/** The file of a plan by tensors, and by rows of large ones: what llama-quantize writes on one machine, to the byte. */
import { readDocumentText } from "../../documents/document-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import type { EngineImatrix } from "../../engine/engine.ts";
import { FormatError, UsageError } from "../../errors.ts";
import { TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import { TENSOR_TYPE } from "../../ggml/type-fields.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import type { OpenModel, TensorInfo } from "../../gguf/model.ts";
import { PLAN, type Plan } from "../../plan/plan.ts";
import { readPlan } from "../../plan/read-plan.ts";
import { present } from "../../present.ts";
import { assembledSpec, type TensorData } from "../../quantize/assemble.ts";
import { encodeTensor, type RowRange, rowsOf } from "../../quantize/encode-tensor.ts";
import { describeOutput } from "../../quantize/outputs.ts";
import { planImatrix, planSpec } from "../../quantize/plan-spec.ts";
import { quantize } from "../../quantize/quantize.ts";
import { asLoaded, splitOf } from "../../quantize/split-file.ts";
import { inputPath, requireContent } from "../campaign.ts";
import type { Campaign } from "../campaign-document.ts";
import { unitKey } from "../campaign-document.ts";
import { LARGE_VALUE, type LargeValue, readLarge, writeLarge } from "../large-values.ts";
import type { CampaignPlace, PlannedUnit, ShardStage } from "../stage.ts";

/** Rows of a tensor, over all its matrices: [from, to). */
const PIECE = t.object({ tensor: t.name(), from: t.count(), to: t.count() });
type Piece = Content<typeof PIECE>;
const UNIT = t.object({ pieces: t.list(PIECE) });

export const QUANTIZE_OPTIONS = t.object({
  types: t.table(TENSOR_TYPE, "The type of every tensor."),
  allowRequantize: t.flag(),
  splitMaxBytes: t.optional(t.bytes()),
  keepSplit: t.flag(),
});
export type QuantizeOptions = Content<typeof QUANTIZE_OPTIONS>;

/** Units that a job has at least, where the model is large enough, so that jobs can be balanced. */
const UNITS_PER_JOB = 8;
/** Of the source: no unit is larger, or smaller than there is use for. */
const MOST_UNIT_BYTES = 2 ** 30;
const LEAST_UNIT_BYTES = 2 ** 20;

export const quantizeStage: ShardStage = {
  id: "quantize",
  writesGguf: true,
  method: 1,
  costPerSecond: 1e6,
  value: LARGE_VALUE,
  units({ source, campaign }) {
    const { types } = optionsOf(campaign);
    const wanted = source.fileBytes / (campaign.jobs * UNITS_PER_JOB);
    const most = Math.min(MOST_UNIT_BYTES, Math.max(LEAST_UNIT_BYTES, wanted));
    return inUnits(inFileOrder(source), typeIn(types), most);
  },
  async open(place, bench) {
    const { source, directory, campaign } = place;
    const { types } = optionsOf(campaign);
    const imatrix = await imatrixOf(place, await planOf(place));
    const tensors = new Map(source.model.tensors.map((tensor) => [tensor.name, tensor]));
    async function* encode(pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
      for (const { tensor: name, from, to } of pieces) {
        const tensor = tensors.get(name);
        if (tensor === undefined) throw new FormatError(source.path, `has no tensor ${name} to quantize`);
        yield* encodeTensor(source, { tensor, type: typeIn(types)(tensor), imatrix, rows: { from, to } }, bench);
      }
    }
    return {
      // all threads are at one tensor
      width: 1,
      async measure(of) {
        const { pieces } = requireContent(UNIT, of, "unit");
        const made = await writeLarge(directory, unitKey(campaign.id, of), encode(pieces));
        await requireUnchanged(source, bench);
        return made;
      },
      close: async () => undefined,
    };
  },
  async merge(place, values, output, bench, force) {
    const { source, campaign } = place;
    const options = optionsOf(campaign);
    const plan = await planOf(place);
    const stock = {
      ...planSpec(plan, output, await imatrixOf(place, plan)),
      ...present({ split: splitOf(options, source) }),
    };
    const spec = assembledSpec(source, stock, dataOf(place, values as LargeValue[]));
    const { allowRequantize } = options;
    const { proof, parts, ...file } = await quantize(
      source,
      spec,
      { force, allowRequantize, prove: "required" },
      bench,
    );
    const written = await Promise.all((parts ?? [file.path]).map(describeOutput));
    return {
      ...file,
      sha256: written[0]?.sha256,
      ...present({ parts: parts && written }),
      bpw: plan.predicted.bpw,
      verified: { tensors: plan.tensors.length, fileBytes: file.fileBytes, ...proof },
    };
  },
};

function optionsOf({ options }: Pick<Campaign, "options">): QuantizeOptions {
  return requireContent(QUANTIZE_OPTIONS, options, "options");
}

const typeIn =
  (types: QuantizeOptions["types"]) =>
  ({ name, type }: Pick<TensorInfo, "name" | "type">): TensorType =>
    types[name] ?? type;

function inFileOrder({ model }: Pick<OpenModel, "model">): TensorInfo[] {
  return [...model.tensors].sort(asLoaded);
}

/** Consecutive tensors of the file, or rows of one, of so many bytes of the source at most; a row is never cut. */
function inUnits(
  tensors: readonly TensorInfo[],
  typeOf: (tensor: TensorInfo) => TensorType,
  mostBytes: number,
): PlannedUnit[] {
  const units: { pieces: Piece[]; bytes: number; cost: number }[] = [];
  for (const tensor of tensors) {
    const rows = rowsOf(tensor);
    const rowBytes = tensor.bytes / rows;
    const most = Math.max(1, Math.floor(mostBytes / rowBytes));
    for (let from = 0; from < rows; from += most) {
      const to = Math.min(rows, from + most);
      const bytes = (to - from) * rowBytes;
      const last = units.at(-1);
      const unit = last !== undefined && last.bytes + bytes <= mostBytes ? last : { pieces: [], bytes: 0, cost: 0 };
      if (unit !== last) units.push(unit);
      unit.pieces.push({ tensor: tensor.name, from, to });
      unit.bytes += bytes;
      unit.cost += bytes * effort(tensor.type, typeOf(tensor));
    }
  }
  return units.map(({ pieces, cost }) => ({ of: { pieces }, cost }));
}

/** Times of a byte of the source beside each other, about: what is copied, rounded, and searched for on a lattice. */
function effort(from: TensorType, to: TensorType): number {
  if (from === to) return 0.1;
  if (TENSOR_TYPES[to].importance === "required" || to.startsWith("IQ3")) return 30;
  return to.startsWith("IQ") ? 5 : 1;
}

/** The plan of the campaign. */
async function planOf({ directory, campaign }: CampaignPlace): Promise<Plan> {
  const input = campaign.inputs.find(({ name }) => name === "plan");
  if (input === undefined) throw new UsageError(`${directory}: the campaign has no plan; make it again`);
  const path = await inputPath(directory, input);
  return readPlan(await readDocumentText(path, PLAN), path);
}

async function imatrixOf(
  { directory, campaign, source }: CampaignPlace,
  plan: Plan,
): Promise<EngineImatrix | undefined> {
  const input = campaign.inputs.find(({ name }) => name === "imatrix");
  return planImatrix(plan, source, input && (await inputPath(directory, input)));
}

/** The data of the tensors, which are asked for in the order of the units. */
function dataOf({ directory, campaign }: CampaignPlace, values: readonly LargeValue[]): TensorData {
  const pieces = campaign.units.flatMap(({ key, of }, index) =>
    requireContent(UNIT, of, "unit").pieces.map((piece, at, all) => ({
      ...piece,
      unit: { key, value: values[index] as LargeValue },
      ends: at === all.length - 1,
    })),
  );
  const stream = createStream(directory);
  let next = 0;
  return async function* (tensor, type) {
    const rowBytes = TENSOR_TYPES[type].blockBytes * ((tensor.shape[0] ?? 1) / TENSOR_TYPES[type].blockElements);
    for (let row = 0; row < rowsOf(tensor); ) {
      const piece = pieces[next++];
      if (piece?.tensor !== tensor.name || piece.from !== row) {
        throw new FormatError("campaign.json", `its units are not the rows of ${tensor.name}; make it again`);
      }
      yield* stream(piece.unit, bytesOf(piece, rowBytes), piece.ends);
      row = piece.to;
    }
  };
}

const bytesOf = ({ from, to }: RowRange, rowBytes: number): number => (to - from) * rowBytes;

/** Takes so many bytes at a time from the values of units, one unit after another. */
function createStream(directory: string) {
  let open: AsyncGenerator<Uint8Array> | undefined;
  let rest = new Uint8Array();
  return async function* (
    { key, value }: { readonly key: string; readonly value: LargeValue },
    bytes: number,
    ends: boolean,
  ): AsyncGenerator<Uint8Array> {
    open ??= readLarge(directory, key, value);
    let left = bytes;
    while (left > 0) {
      if (rest.length === 0) {
        const { value: piece, done } = await open.next();
        if (done) throw new FormatError(directory, `the part of unit ${key} is too short; make it again`);
        rest = piece as Uint8Array<ArrayBuffer>;
      }
      const taken = rest.subarray(0, left);
      yield taken;
      rest = rest.subarray(taken.length);
      left -= taken.length;
    }
    if (!ends) return;
    // to its end, where it is known to be what was written
    const beyond = rest.length > 0 || !(await open.next()).done;
    if (beyond) throw new FormatError(directory, `the part of unit ${key} is too long; make it again`);
    open = undefined;
  };
}
