/**
 * The file of a plan by tensors, by rows of large ones, or by layers where codes are chosen with error feedback: what one
 * machine writes, to the byte.
 */
import { readDocumentText } from "../../documents/document-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import type { ChosenCodes, EngineImatrix } from "../../engine/engine.ts";
import { FormatError, UsageError } from "../../errors.ts";
import { type FeedbackOutcome, feedbackNotes, outcomeOf } from "../../feedback/feedback.ts";
import { isQuantizedType, type TensorType } from "../../ggml/tensor-types.ts";
import { TENSOR_TYPE } from "../../ggml/type-fields.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import type { OpenModel, TensorInfo } from "../../gguf/model.ts";
import { PLAN, type Plan } from "../../plan/plan.ts";
import { readPlan } from "../../plan/read-plan.ts";
import { present } from "../../present.ts";
import { assembledSpec } from "../../quantize/assemble.ts";
import { encodeTensor } from "../../quantize/encode-tensor.ts";
import { describeOutput } from "../../quantize/outputs.ts";
import { planImatrix, planSpec, withNotes } from "../../quantize/plan-spec.ts";
import { quantize } from "../../quantize/quantize.ts";
import { asLoaded, splitOf } from "../../quantize/split-file.ts";
import { inputPath, requireContent } from "../campaign.ts";
import { CALIBRATION_OPTIONS } from "../campaign-calibration.ts";
import { type Campaign, unitKey } from "../campaign-document.ts";
import { writeLarge } from "../large-values.ts";
import type { CampaignPlace, ShardStage } from "../stage.ts";
import { CODED_VALUE, type CodedValue, createCoder } from "./quantize-codes.ts";
import { unitsData } from "./quantize-parts.ts";
import { layerUnits, nameOfPieces, type Piece, QUANTIZE_UNIT, rowUnits } from "./quantize-units.ts";

export const QUANTIZE_OPTIONS = t.object({
  types: t.table(TENSOR_TYPE, "The type of every tensor."),
  allowRequantize: t.flag(),
  splitMaxBytes: t.optional(t.bytes()),
  keepSplit: t.flag(),
  feedback: t.optional(CALIBRATION_OPTIONS),
});
export type QuantizeOptions = Content<typeof QUANTIZE_OPTIONS>;

export const quantizeStage: ShardStage = {
  id: "quantize",
  writesGguf: true,
  method: 1,
  costPerSecond: 1e6,
  value: CODED_VALUE,
  name: (of) => nameOfPieces(requireContent(QUANTIZE_UNIT, of, "unit").pieces),
  units({ source, campaign }) {
    const { types, feedback } = optionsOf(campaign);
    const { jobs } = campaign;
    const cut = feedback === undefined ? rowUnits : layerUnits;
    return cut(inFileOrder(source), typeIn(types), { fileBytes: source.fileBytes, jobs });
  },
  async open(place, bench) {
    const { source, directory, campaign } = place;
    const { types, feedback } = optionsOf(campaign);
    const typeOf = typeIn(types);
    const imatrix = await imatrixOf(place, await planOf(place));
    const tensors = new Map(source.model.tensors.map((tensor) => [tensor.name, tensor]));
    const found = (name: string): TensorInfo => {
      const tensor = tensors.get(name);
      if (tensor !== undefined) return tensor;
      throw new FormatError(source.path, `has no tensor ${name} to quantize`);
    };
    async function* encode(pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
      for (const { tensor: name, from, to } of pieces) {
        const tensor = found(name);
        yield* encodeTensor(source, { tensor, type: typeOf(tensor), imatrix, rows: { from, to } }, bench);
      }
    }
    const coder = feedback && (await createCoder(place, feedback, bench));
    return {
      // all threads are at one tensor
      width: 1,
      async measure(of) {
        const { pieces } = requireContent(QUANTIZE_UNIT, of, "unit");
        const unit = unitKey(campaign.id, of);
        const made =
          coder === undefined
            ? await writeLarge(directory, unit, encode(pieces))
            : await coder.write(
                unit,
                pieces.map(({ tensor }) => ({ ...found(tensor), type: typeOf(found(tensor)) })),
                encode(pieces),
              );
        await requireUnchanged(source, bench);
        return made;
      },
      close: async () => coder?.close(),
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
    const noted =
      options.feedback === undefined
        ? stock
        : withNotes(plan, stock, feedbackNotes({ calibration: options.feedback.calibration }));
    const made = values as readonly CodedValue[];
    const spec = assembledSpec(source, noted, unitsData(place, made));
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
      ...present({ feedback: options.feedback && feedbackOf(source, typeIn(options.types), made) }),
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

/** What became of the codes that were chosen. */
function feedbackOf(
  { model }: Pick<OpenModel, "model">,
  typeOf: (tensor: TensorInfo) => TensorType,
  values: readonly CodedValue[],
): FeedbackOutcome {
  const coded = model.tensors.filter((tensor) => typeOf(tensor) !== tensor.type && isQuantizedType(typeOf(tensor)));
  const chosen = values.flatMap(({ codes }) => (codes?.chosen ?? []) as readonly ChosenCodes[]);
  return outcomeOf(coded, chosen, values.find(({ codes }) => codes !== undefined)?.codes?.text ?? "none");
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
