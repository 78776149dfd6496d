/**
 * Tensor types that llama.cpp v0.5.0 does not read, by their id: those it removed (ggml.h), and those of programs that number
 * their own. BitNet's are in place of removed ones (ggml.h of its llama.cpp; its TL2, 39, is MXFP4 here); ik_llama.cpp's
 * are of commit 8337e4c (2026-08-15).
 */

/** Types that were kept in files once. */
const REMOVED: Readonly<Record<number, string>> = {
  4: "Q4_2",
  5: "Q4_3",
  31: "Q4_0_4_4",
  32: "Q4_0_4_8",
  33: "Q4_0_8_8",
  36: "IQ4_NL_4_4",
  37: "IQ4_NL_4_8",
  38: "IQ4_NL_8_8",
};

const BITNET: Readonly<Record<number, string>> = { 36: "I2_S", 37: "I8_S", 38: "TL1" };

const IK: Readonly<Record<number, string>> = {
  ...{ 97: "Q8_0_X4", 98: "Q8_1_X4", 99: "Q8_2_X4" },
  ...{ 133: "Q6_0", 134: "IQ1_BN", 135: "IQ2_BN", 136: "Q8_K64" },
  ...{ 137: "IQ2_K", 138: "IQ3_K", 139: "IQ4_K", 140: "IQ5_K", 141: "IQ6_K", 142: "IQ2_TN", 143: "IQ1_TN" },
  ...{ 144: "IQ4_KS", 145: "IQ2_KS", 146: "IQ4_KSS", 147: "Q8_K16", 148: "Q8_K32", 149: "Q8_KR8", 150: "Q8_K128" },
  ...{ 151: "Q8_KV", 152: "IQ5_KS", 153: "IQ2_KT", 154: "IQ3_KT", 155: "IQ4_KT", 156: "IQ3_KS" },
  ...{ 157: "IQ2_KL", 158: "IQ1_KT" },
  ...{ 202: "Q4_0_R8", 206: "Q5_0_R4", 208: "Q8_0_R8", 210: "Q2_K_R4", 211: "Q3_K_R4", 212: "Q4_K_R4" },
  ...{ 213: "Q5_K_R4", 214: "Q6_K_R4", 216: "IQ2_XXS_R4", 217: "IQ2_XS_R4", 218: "IQ3_XXS_R4", 219: "IQ1_S_R4" },
  ...{ 220: "IQ4_NL_R4", 221: "IQ3_S_R4", 222: "IQ2_S_R4", 223: "IQ4_XS_R8", 229: "IQ1_M_R4", 230: "BF16_R16" },
  ...{ 233: "Q6_0_R4", 335: "IQ2_BN_R4", 337: "IQ2_K_R4", 338: "IQ3_K_R4", 339: "IQ4_K_R4", 340: "IQ5_K_R4" },
  ...{ 344: "IQ4_KS_R4", 352: "IQ5_KS_R4", 353: "MXFP4_R8", 397: "Q8_K_R16", 398: "Q8_KV_R8", 399: "Q8_K_R8" },
};

const ORIGINAL = "or give the original f16, bf16 or f32 file";

/** Say what a tensor of an unknown type id is and what to do, as the end of a sentence about the tensor. */
export function describeForeignType(id: number): string {
  const [removed, bitnet, ik] = [REMOVED[id], BITNET[id], IK[id]];
  if (bitnet !== undefined) {
    return `has the type id ${id}: ${bitnet} of BitNet, or ${removed}, which llama.cpp removed; run the file with bitnet.cpp, ${ORIGINAL}`;
  }
  if (removed !== undefined) {
    return `has the type ${removed} (id ${id}), which llama.cpp removed; convert the model again`;
  }
  if (ik !== undefined) {
    return `has the type ${ik} (id ${id}) of ik_llama.cpp, which llama.cpp does not read; run the file with ik_llama.cpp, ${ORIGINAL}`;
  }
  return `has the unknown type id ${id}; the file is damaged or made for another program`;
}

/** The program that a type's name is of, where llama.cpp has no such type. */
export function foreignProgram(name: string): string | undefined {
  const type = name.toUpperCase();
  if (Object.values(IK).includes(type)) return "ik_llama.cpp";
  return Object.values(BITNET).includes(type) ? "bitnet.cpp" : undefined;
}
