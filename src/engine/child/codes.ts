/** How ggml's blocks hold codes and scales (ggml-quants.c of llama.cpp v0.5.0): what is needed to choose codes oneself. */
import type { TensorType } from "../../ggml/tensor-types.ts";
import { decodeHalf } from "../../kernels/decode.ts";

export interface CodeLayout {
  /** Weights that share a scale. */
  readonly groupWeights: number;
  /** Ascending. */
  readonly levels: readonly number[];
  /** The code of the first level; codes count on from it, in 8 bits. */
  readonly firstCode: number;
  /** A weight is superScale·(scaleStep − scaleZero)·level + superOffset·offsetStep, of its group's steps. */
  readonly steps: (block: DataView) => GroupSteps;
  readonly scaleZero: number;
  /** Absent: a block of one group, whose steps are fixed. */
  readonly search?: StepSearch;
  /** From the lowest bits on: so many bits of the code of weight j stand in a byte, from `shift` on. */
  readonly fields: readonly Field[];
}

export interface GroupSteps {
  readonly superScale: number;
  readonly superOffset: number;
  readonly scale: number[];
  readonly offset: number[];
}

interface StepSearch {
  /** Steps go from 0 up to these. */
  readonly mostScale: number;
  readonly mostOffset: number;
  readonly write: (steps: GroupSteps, block: DataView) => void;
}

interface Field {
  readonly bits: number;
  readonly at: (j: number) => readonly [byte: number, shift: number];
}

const IQ4_LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

const range = (lowest: number, highest: number) => Array.from({ length: highest - lowest + 1 }, (_, at) => lowest + at);
const half = (block: DataView, at: number) => decodeHalf(block.getUint16(at, true));

const oneScale = (block: DataView): GroupSteps => ({
  superScale: half(block, 0),
  superOffset: 0,
  scale: [1],
  offset: [0],
});
const scaleAndMinimum = (block: DataView): GroupSteps => ({
  superScale: half(block, 0),
  superOffset: half(block, 2),
  scale: [1],
  offset: [1],
});

/** Four bits of 32 weights in 16 bytes: the second half in the high ones. */
const nibbles = (start: number): Field => ({ bits: 4, at: (j) => [start + (j % 16), j < 16 ? 0 : 4] });
const fifthBits = (start: number): Field => ({ bits: 1, at: (j) => [start + (j >> 3), j & 7] });

/** Fields of 256 weights that lie side by side in bytes: `across` weights in as many bytes, then the next above them. */
const layered = (start: number, bits: number, across: number): Field => ({
  bits,
  at: (j) => {
    const layers = 8 / bits;
    const layer = Math.floor(j / across);
    return [start + across * Math.floor(layer / layers) + (j % across), bits * (layer % layers)];
  },
});

const groups = <Step>(count: number, step: (group: number) => Step): Step[] =>
  Array.from({ length: count }, (_, at) => step(at));
const zeros = (count: number) => groups(count, () => 0);

/** d, dmin and scales[12] of six bits each, as Q4_K and Q5_K begin. */
const SIX_BITS = {
  steps(block: DataView): GroupSteps {
    const packed = (at: number) => block.getUint8(4 + at);
    const low = (group: number) => packed(group) & 63;
    return {
      superScale: half(block, 0),
      superOffset: -half(block, 2),
      scale: groups(8, (at) => (at < 4 ? low(at) : (packed(at + 4) & 15) | ((packed(at - 4) >> 6) << 4))),
      offset: groups(8, (at) => (at < 4 ? low(at + 4) : (packed(at + 4) >> 4) | ((packed(at) >> 6) << 4))),
    };
  },
  scaleZero: 0,
  search: {
    mostScale: 63,
    mostOffset: 63,
    write({ scale, offset }: GroupSteps, block: DataView): void {
      const of = (steps: readonly number[], at: number) => steps[at] as number;
      for (let at = 0; at < 4; at++) {
        block.setUint8(4 + at, of(scale, at) | ((of(scale, at + 4) >> 4) << 6));
        block.setUint8(8 + at, of(offset, at) | ((of(offset, at + 4) >> 4) << 6));
        block.setUint8(12 + at, (of(scale, at + 4) & 15) | ((of(offset, at + 4) & 15) << 4));
      }
    },
  },
};

const ONE = { steps: oneScale, scaleZero: 0 };
const TWO = { steps: scaleAndMinimum, scaleZero: 0 };

const LAYOUTS: Partial<Record<TensorType, CodeLayout>> = {
  Q4_0: { groupWeights: 32, levels: range(-8, 7), firstCode: 0, ...ONE, fields: [nibbles(2)] },
  Q4_1: { groupWeights: 32, levels: range(0, 15), firstCode: 0, ...TWO, fields: [nibbles(4)] },
  Q5_0: { groupWeights: 32, levels: range(-16, 15), firstCode: 0, ...ONE, fields: [nibbles(6), fifthBits(2)] },
  Q5_1: { groupWeights: 32, levels: range(0, 31), firstCode: 0, ...TWO, fields: [nibbles(8), fifthBits(4)] },
  // Signed bytes.
  Q8_0: {
    groupWeights: 32,
    levels: range(-127, 127),
    firstCode: 256 - 127,
    ...ONE,
    fields: [{ bits: 8, at: (j) => [2 + j, 0] }],
  },
  // scales[16], qs[64], d, dmin.
  Q2_K: {
    groupWeights: 16,
    levels: range(0, 3),
    firstCode: 0,
    steps: (block) => ({
      superScale: half(block, 80),
      superOffset: -half(block, 82),
      scale: groups(16, (at) => block.getUint8(at) & 15),
      offset: groups(16, (at) => block.getUint8(at) >> 4),
    }),
    scaleZero: 0,
    search: {
      mostScale: 15,
      mostOffset: 15,
      write({ scale, offset }, block) {
        for (const [at, step] of scale.entries()) block.setUint8(at, step | ((offset[at] as number) << 4));
      },
    },
    fields: [layered(16, 2, 32)],
  },
  // hmask[32], qs[64], scales[12], d.
  Q3_K: {
    groupWeights: 16,
    levels: range(-4, 3),
    firstCode: 0,
    steps: (block) => ({
      superScale: half(block, 108),
      superOffset: 0,
      scale: groups(16, (at) => {
        const low = block.getUint8(96 + (at % 8)) >> (at < 8 ? 0 : 4);
        const high = block.getUint8(104 + (at % 4)) >> (2 * (at >> 2));
        return (low & 15) | ((high & 3) << 4);
      }),
      offset: zeros(16),
    }),
    scaleZero: 32,
    search: {
      mostScale: 63,
      mostOffset: 0,
      write({ scale }, block) {
        const part = (at: number, shift: number, mask: number) => ((scale[at] as number) >> shift) & mask;
        for (let at = 0; at < 8; at++) block.setUint8(96 + at, part(at, 0, 15) | (part(at + 8, 0, 15) << 4));
        for (let at = 0; at < 4; at++) {
          const bits = [0, 1, 2, 3].reduce((sum, quarter) => sum | (part(4 * quarter + at, 4, 3) << (2 * quarter)), 0);
          block.setUint8(104 + at, bits);
        }
      },
    },
    fields: [layered(32, 2, 32), layered(0, 1, 32)],
  },
  Q4_K: { groupWeights: 32, levels: range(0, 15), firstCode: 0, ...SIX_BITS, fields: [layered(16, 4, 32)] },
  Q5_K: {
    groupWeights: 32,
    levels: range(0, 31),
    firstCode: 0,
    ...SIX_BITS,
    fields: [layered(48, 4, 32), layered(16, 1, 32)],
  },
  // ql[128], qh[64], scales[16] that are signed, d.
  Q6_K: {
    groupWeights: 16,
    levels: range(-32, 31),
    firstCode: 0,
    steps: (block) => ({
      superScale: half(block, 208),
      superOffset: 0,
      scale: groups(16, (at) => block.getInt8(192 + at) + 128),
      offset: zeros(16),
    }),
    scaleZero: 128,
    search: {
      mostScale: 255,
      mostOffset: 0,
      write({ scale }, block) {
        for (const [at, step] of scale.entries()) block.setInt8(192 + at, step - 128);
      },
    },
    fields: [layered(0, 4, 64), layered(128, 2, 32)],
  },
  IQ4_NL: { groupWeights: 32, levels: IQ4_LEVELS, firstCode: 0, ...ONE, fields: [nibbles(2)] },
  // d, scales_h, scales_l[4], qs[128].
  IQ4_XS: {
    groupWeights: 32,
    levels: IQ4_LEVELS,
    firstCode: 0,
    steps: (block) => ({
      superScale: half(block, 0),
      superOffset: 0,
      scale: groups(8, (at) => {
        const low = block.getUint8(4 + (at >> 1)) >> (4 * (at % 2));
        return (low & 15) | (((block.getUint16(2, true) >> (2 * at)) & 3) << 4);
      }),
      offset: zeros(8),
    }),
    scaleZero: 32,
    search: {
      mostScale: 63,
      mostOffset: 0,
      write({ scale }, block) {
        const low = (at: number) => (scale[at] as number) & 15;
        for (let at = 0; at < 4; at++) block.setUint8(4 + at, low(2 * at) | (low(2 * at + 1) << 4));
        block.setUint16(
          2,
          scale.reduce((bits, step, at) => bits | ((step >> 4) << (2 * at)), 0),
          true,
        );
      },
    },
    fields: [layered(8, 4, 16)],
  },
};

/** Undefined: a type whose codes are left to ggml. */
export function codeLayout(type: TensorType): CodeLayout | undefined {
  return LAYOUTS[type];
}

/** Put the places of levels of all weights of a block into it. */
export function writeCodes(layout: CodeLayout, places: ArrayLike<number>, block: DataView): void {
  let done = 0;
  for (const { bits, at } of layout.fields) {
    const mask = 2 ** bits - 1;
    for (let j = 0; j < places.length; j++) {
      const [byte, shift] = at(j);
      const part = (((places[j] as number) + layout.firstCode) >> done) & mask;
      block.setUint8(byte, (block.getUint8(byte) & ~(mask << shift)) | (part << shift));
    }
    done += bits;
  }
}
