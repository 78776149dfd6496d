/** How a model that is written is split into files; the names are those of llama.cpp's own programs. */
import { Option } from "commander";

export const splitMaxSizeOption = () =>
  new Option(
    "--split-max-size <size>",
    "write files no larger than this, like 50GB: name-00001-of-00003.gguf, as llama-gguf-split does",
  );

export const keepSplitOption = () =>
  new Option("--keep-split", "write as many files as the model has, as llama-quantize does").conflicts("splitMaxSize");
