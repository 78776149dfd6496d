/** What was measured of a model that a prior is fitted to: how much a weight of each kind of its tensors matters. */
import * as t from "../documents/fields.ts";
import { TENSOR_ROLES } from "../ggml/tensor-class.ts";

/** Densities are about e^-20; with these limits no sum of their exponentials overflows. */
const LOG_LIMIT = 100;

export const MEASURED_MODEL = t.object({
  name: t.name(),
  arch: t.name(),
  elements: t.some("Of the whole model."),
  headerHash: t.optional(t.text("Header hash of the model, where its file was seen.")),
  kinds: t.list(
    t.object({
      name: t.name("Class and place: `ffn_up in the last layer`."),
      class: t.name("An embedding that is the head as well is `token_embd (tied)`."),
      role: t.oneOf(TENSOR_ROLES),
      place: t.optional(t.name("`first ffn`, `last experts`; absent between the ends.")),
      lnDensity: t.given(t.number(), {
        ...{ minimum: -LOG_LIMIT, maximum: LOG_LIMIT },
        description: "ln of KL divergence per weight and unit of D; only differences within a model count.",
      }),
      error: t.optional(t.amount("Standard error of lnDensity; absent for 0.")),
      elements: t.some("Of one tensor, on average."),
      tensors: t.some(),
    }),
    { minItems: 1, maxItems: 500 },
  ),
  leftOut: t.optional(
    t.object(
      {
        correlation: t.optional(t.given(t.number(), { minimum: -1.001, maximum: 1.001 })),
        sd: t.amount("Of what is left of ln density, over kinds."),
        share: t.optional(
          t.number(
            "Percent of the gain over equal densities that its own densities would give, bits being continuous.",
          ),
        ),
      },
      "How well the prior of all other models predicts this one.",
    ),
  ),
});
export interface MeasuredModel extends t.Content<typeof MEASURED_MODEL> {}
export type MeasuredKind = MeasuredModel["kinds"][number];
