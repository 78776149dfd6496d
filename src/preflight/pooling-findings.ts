/** Findings about how a model pools its hidden states. */
import type { Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";

/** `enum llama_pooling_type`, and GGUF_TYPE_UINT32. */
export const POOLING_NAMES: readonly string[] = ["none", "mean", "cls", "last", "rank"];
const UINT32 = 4;

/** llama.cpp reads pooling_type as a u32, and ends its process on one that it does not know. */
export function poolingFindings({ arch, metadata, keyValues }: Model): Finding[] {
  const key = `${arch}.pooling_type`;
  const entry = keyValues.find((keyValue) => keyValue.key === key);
  const value = metadata.get(key);
  const isKnown = POOLING_NAMES[Number(value)] !== undefined;
  if (entry === undefined || (entry.valueType === UINT32 && isKnown)) return [];
  return [
    {
      code: "pooling-type",
      severity: "error",
      message:
        entry.valueType === UINT32
          ? `${key} is ${value}, and llama.cpp knows ${POOLING_NAMES.map((name, index) => `${index} (${name})`).join(", ")}`
          : `${key} is ${typeof value === "string" ? JSON.stringify(value) : String(value)}, but not stored as a u32: llama.cpp refuses the file`,
      remedy: "prism repair stores it as llama.cpp reads it, where its meaning is plain; or convert again",
    },
  ];
}
