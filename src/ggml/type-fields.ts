/** The names of ggml's types as fields of documents. */
import * as t from "../documents/fields.ts";
import { FILE_TYPE_NAMES } from "./file-types.ts";
import { TENSOR_TYPE_NAMES } from "./tensor-types.ts";

export const TENSOR_TYPE = t.oneOf(TENSOR_TYPE_NAMES);
export const FILE_TYPE = t.oneOf(FILE_TYPE_NAMES);
