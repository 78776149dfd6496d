/** Output recorded from llama-quantize and llama-perplexity v0.5.0 with the bundled model, shortened. */
import { describe, expect, it } from "vitest";
import {
  hasDamagedFigures,
  hasErrorLines,
  parseFinalEstimate,
  parseKlDivergence,
  parseOtherVocabulary,
  parseTooShort,
} from "../../src/engine/perplexity-log.ts";
import { parseQuantizeLog } from "../../src/engine/quantize-log.ts";
import { parseTensorType } from "../../src/ggml/tensor-types.ts";
import { FINAL_ESTIMATE, KL_DIVERGENCE } from "./recorded-logs.ts";

describe("the log of llama-perplexity", () => {
  it("gives perplexity and chunks of a plain run", () => {
    expect(parseFinalEstimate(FINAL_ESTIMATE)).toEqual({ chunks: 4, ppl: { value: 66.5269, se: 17.12289 } });
  });

  it("gives every figure of a KL divergence run", () => {
    expect(parseKlDivergence(KL_DIVERGENCE)).toEqual({
      chunks: 4,
      ppl: { value: 65.480485, se: 16.743961 },
      referencePpl: { value: 66.527695, se: 17.123177 },
      lnPplRatio: { value: -0.015866, se: 0.016857 },
      kld: { mean: 0.019801, se: 0.001915, median: 0.013136, p99: 0.105979, max: 0.146274 },
      sameTop: 85.484,
      sameTopSe: 3.176,
    });
  });

  it("is no report wherever it is cut before its last figure", () => {
    const lines = KL_DIVERGENCE.trimEnd().split("\n");
    for (let kept = 0; kept < lines.length; kept++) {
      expect(parseKlDivergence(lines.slice(0, kept).join("\n"))).toBeUndefined();
    }
    expect(parseFinalEstimate(FINAL_ESTIMATE.slice(0, FINAL_ESTIMATE.indexOf("Final")))).toBeUndefined();
    expect(parseFinalEstimate(KL_DIVERGENCE)).toBeUndefined();
  });

  it("tells a text that is too short, another vocabulary, damaged figures and errors from a lost end", () => {
    const short = "0.01 E perplexity: the data file you provided tokenizes to only 57 tokens";
    const other = "0.00.055.044 E kl_divergence: inconsistent vocabulary (4096 vs 257)";
    expect(parseTooShort(short)).toBe(57);
    expect(parseOtherVocabulary(other)).toEqual({ reference: 4096, own: 257 });
    expect(hasErrorLines(`fine\n${other}`)).toBe(true);
    for (const damaged of [
      "0.00.1 E Unexpected negative standard deviation of log(prob)",
      "[1]nan,[2]nan,",
      "[1]-nan,[2]-nan,",
      "Mean    KLD:        nan ±        nan",
      "Mean PPL(Q)                   :        inf ±        nan",
    ]) {
      expect(hasDamagedFigures(damaged)).toBe(true);
    }
    for (const sound of [FINAL_ESTIMATE, KL_DIVERGENCE]) {
      expect(hasDamagedFigures(sound)).toBe(false);
      expect(hasErrorLines(sound)).toBe(false);
      expect(parseTooShort(sound)).toBeUndefined();
      expect(parseOtherVocabulary(sound)).toBeUndefined();
    }
  });
});

const DRY_RUN = `
llama_tensor_get_type: output.weight                        - applying manual override: q6_K -> q8_0
[   1/  75] output.weight                        - [   256,   4096,      1,      1], type =    f16, size =     2.00 MiB ->     1.06 MiB (q8_0)
[   2/  75] output_norm.weight                   - [   256,      1,      1,      1], type =    f32, size =    0.001 MiB
[  73/  75] blk.7.ffn_gate.weight                - [   256,    768,      1,      1], type =    f16, size =     0.38 MiB ->     0.11 MiB (q4_K)
llama_model_quantize_impl: model size  =    16.02 MiB (16.01 BPW)
llama_model_quantize_impl: quant size  =     5.24 MiB (5.24 BPW)
`;
const REAL_RUN = `
[   1/  75] output.weight                        - [   256,   4096,      1,      1], type =    f16, converting to q8_0 .. size =     2.00 MiB ->     1.06 MiB
[   2/  75] output_norm.weight                   - [   256,      1,      1,      1], type =    f32, size =    0.001 MiB
[  73/  75] blk.7.ffn_gate.weight                - [   256,    768,      1,      1], type =    f16, converting to q4_K .. size =     0.38 MiB ->     0.11 MiB
llama_model_quantize_impl: model size  =    16.02 MiB (16.01 BPW)
llama_model_quantize_impl: quant size  =     5.24 MiB (5.24 BPW)
`;

describe("the log of llama-quantize", () => {
  it.each([
    ["dry", DRY_RUN],
    ["real", REAL_RUN],
  ])("of a %s run gives each tensor's type and the bits per weight", (_, log) => {
    expect(parseQuantizeLog(log.split("\n"), parseTensorType)).toEqual({
      tensors: [
        { name: "output.weight", type: "Q8_0" },
        { name: "output_norm.weight", type: "F32" },
        { name: "blk.7.ffn_gate.weight", type: "Q4_K" },
      ],
      bpw: 5.24,
    });
  });

  it("gives names with spaces and brackets, and leaves out a type it does not know", () => {
    const line = (name: string, type: string) =>
      `[   1/   2] ${name}   - [   256,   256,     1,     1], type =    f16, converting to ${type} .. size =     0.12 MiB ->     0.04 MiB`;
    const { tensors } = parseQuantizeLog([line("odd - [name].weight", "iq4_nl"), line("new", "q9_X")], parseTensorType);
    expect(tensors).toEqual([{ name: "odd - [name].weight", type: "IQ4_NL" }]);
  });
});
