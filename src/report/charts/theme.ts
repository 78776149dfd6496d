/**
 * The colours of every picture. Tensor types go from dark (few bits) to pale (many) along viridis, which keeps its order
 * for colour-blind readers and in grey; kinds of rows are of the Okabe-Ito palette and always have a shape of their own.
 */
import type { TensorType } from "../../ggml/tensor-types.ts";
import type { RowKind } from "../../run/run-document.ts";

export interface ChartTheme {
  readonly name: "light" | "dark";
  readonly surface: string;
  readonly ink: string;
  readonly muted: string;
  readonly line: string;
  readonly accent: string;
  readonly kinds: Readonly<Record<RowKind, string>>;
  /** Share of bytes and share of loss, side by side. */
  readonly bytes: string;
  readonly loss: string;
  /** From the lowest to the highest value of a measurement. */
  readonly ramp: readonly string[];
}

export const LIGHT_THEME: ChartTheme = {
  name: "light",
  surface: "#ffffff",
  ink: "#1d2126",
  muted: "#5b626b",
  line: "#d9dce0",
  accent: "#b8430b",
  kinds: {
    plan: "#b8430b",
    feedback: "#8a2f05",
    preset: "#0a5c96",
    plain: "#4f7fa3",
    published: "#7a5a00",
    rival: "#b0256e",
    uniform: "#0b7a5c",
    "uniform-s": "#8a3f78",
    unguarded: "#a3302f",
    shuffle: "#6d747d",
    reference: "#1d2126",
  },
  bytes: "#0a5c96",
  loss: "#cf7a3a",
  ramp: ["#f2f5f8", "#c9dcea", "#93bbd6", "#5493bd", "#226a9c", "#0d4470"],
};

export const DARK_THEME: ChartTheme = {
  name: "dark",
  surface: "#171b20",
  ink: "#e8eaed",
  muted: "#a3abb5",
  line: "#333a42",
  accent: "#ff9a5c",
  kinds: {
    plan: "#ff9a5c",
    feedback: "#ffc29c",
    preset: "#6db6ee",
    plain: "#8fb4cf",
    published: "#e0c060",
    rival: "#ff8fc0",
    uniform: "#53c9a4",
    "uniform-s": "#dd9ccb",
    unguarded: "#f0908c",
    shuffle: "#a3abb5",
    reference: "#e8eaed",
  },
  bytes: "#6db6ee",
  loss: "#e0904f",
  ramp: ["#20262d", "#233f54", "#26597b", "#3679a3", "#62a0c8", "#a8d3ee"],
};

/** By the bits in a type's name. */
const TYPE_COLOURS: readonly (readonly [bits: number, colour: string])[] = [
  [1, "#2b1240"],
  [2, "#46307d"],
  [3, "#3a5a97"],
  [4, "#2a8293"],
  [5, "#3aa583"],
  [6, "#83c15c"],
  [8, "#d8d24a"],
  [16, "#f3e9b0"],
  [64, "#fbf8ea"],
];

/** The bits a type has in its name: 4 of Q4_K and IQ4_XS. */
export function nominalBits(type: TensorType): number {
  return Number(/\d+/.exec(type)?.[0] ?? 0);
}

/** The same in both themes. */
export function typeColour(type: TensorType): string {
  const bits = nominalBits(type);
  return TYPE_COLOURS.find(([most]) => bits <= most)?.[1] ?? "#fbf8ea";
}

/** A type in at most three characters for a cell: 4 is Q4_K, 4x IQ4_XS, 4n IQ4_NL, 8.0 Q8_0, 16 F16. */
export function typeLetters(type: TensorType): string {
  const bits = nominalBits(type);
  const [, family = "", end = ""] = /^([A-Z]*)\d+_?(.*)$/.exec(type) ?? [];
  if (family === "IQ") return `${bits}${end === "XXS" ? "xx" : end.slice(-2, -1).toLowerCase() || end.toLowerCase()}`;
  if (family === "Q") return end === "K" ? `${bits}` : `${bits}.${end}`;
  return family === "F" ? `${bits}` : `${family[0]?.toLowerCase()}${bits}`;
}

/** Types with a codebook get a hatch besides their colour: Q4_K and IQ4_XS share one. */
export function isHatched(type: TensorType): boolean {
  return type.startsWith("IQ");
}

/** The colour at `share` (0 to 1) of a ramp of hexadecimal colours. */
export function rampColour(ramp: readonly string[], share: number): string {
  const position = Math.min(1, Math.max(0, share)) * (ramp.length - 1);
  const below = Math.min(ramp.length - 2, Math.floor(position));
  const [from, to] = [channels(ramp[below] ?? "#000000"), channels(ramp[below + 1] ?? "#000000")];
  const mixed = from.map((value, index) => Math.round(value + (position - below) * ((to[index] ?? 0) - value)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** Black or white, whichever reads better on a colour: one of the two always has a contrast above 4.5. */
export function textOn(colour: string): string {
  const [red = 0, green = 0, blue = 0] = channels(colour).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

function channels(colour: string): number[] {
  return [1, 3, 5].map((start) => Number.parseInt(colour.slice(start, start + 2), 16));
}
