/**
 * An estimate of what a projector (mmproj) that reads images computes in: what is alive at once in a layer, for the patches
 * of the image that libmtmd of llama.cpp v0.5.0 makes room for when it loads it (tools/mtmd/clip.cpp, warmup). A larger
 * image takes more. docs/memory.md has its error.
 */
import type { Model } from "../gguf/model.ts";

const F32_BYTES = 4;

/** Embeddings of a patch that are alive at once, beside one as wide as the feed-forward layer. */
const EMBEDDINGS = 4.75;

/** Tokens of a side of that image, for projectors that take images of any size (set_warmup_n_tokens). */
const SIDE_TOKENS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    [
      "qwen2vl_merger",
      "qwen2.5vl_merger",
      "qwen3vl_merger",
      "glm4v",
      "dots_ocr",
      "dots3note_v",
      "mimovl",
      "exaone4_5",
    ].map((type) => [type, 46]),
  ),
  ...{ hunyuanvl: 32, "muse-glimmer": 32, paddleocr: 28 },
  ...{ pixtral: 16, lightonocr: 16, kimivl: 16, gemma4v: 16, gemma4uv: 16, youtuvl: 16, minimax_m3: 16, phi4: 16 },
};

/** Sides of images and widths are below this; what is above is no projector's. */
const MOST = 65_536;
/** Patches of a side that make one token, where the header does not say. */
const MERGED = 2;

/** 0 for projectors that read no images, and where the header does not tell. */
export function projectorComputeBytes({ metadata }: Pick<Model, "metadata">): number {
  const number = (key: string) => {
    const value = Number(metadata.get(`clip.vision.${key}`) ?? 0);
    return Number.isInteger(value) && value > 0 && value < MOST ? value : 0;
  };
  const type = metadata.get("clip.vision.projector_type") ?? metadata.get("clip.projector_type");
  const tokens = typeof type === "string" && Object.hasOwn(SIDE_TOKENS, type) ? SIDE_TOKENS[type] : undefined;
  const patch = number("patch_size");
  const ofImage = patch === 0 ? 0 : Math.ceil(number("image_size") / patch);
  const side = tokens === undefined ? ofImage : tokens * (number("spatial_merge_size") || MERGED);
  return side ** 2 * (number("feed_forward_length") + EMBEDDINGS * number("embedding_length")) * F32_BYTES;
}
