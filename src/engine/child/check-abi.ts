/**
 * Is the loaded library the one that llama-library.ts declares? Its version, the names and block sizes of all tensor
 * types, and the defaults it returns in the structs, which read back as nonsense where a layout has shifted.
 */
import { TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import { LLAMA_VERSION } from "../package.ts";
import { MUL_MAT, MUL_MAT_ID, NONE } from "./graph-tensor.ts";
import type { ContextParams, ModelParams, QuantizeParams, ThreadpoolParams } from "./llama-structs.ts";

/** Throws an Error that names the first mismatch. */
export function checkAbi(library: {
  version: () => string;
  typeName: (type: number) => string;
  operationName: (operation: number) => string;
  rowSize: (type: number, elements: number) => number;
  quantizeDefaults: () => QuantizeParams;
  modelDefaults: () => ModelParams;
  contextDefaults: () => ContextParams;
  threadpoolDefaults: (threads: number) => ThreadpoolParams;
}): void {
  const expect = (what: string, expected: unknown, got: unknown) => {
    if (got !== expected) {
      throw new Error(
        `the llama.cpp library is not the one PRISM was written for: ${what} is ${String(got)}, expected ${String(expected)}`,
      );
    }
  };
  expect("its version", LLAMA_VERSION, normalizeVersion(library.version()));
  for (const type of Object.keys(TENSOR_TYPES) as TensorType[]) {
    const { id, blockBytes, blockElements } = TENSOR_TYPES[type];
    expect(`the name of type ${id}`, type.toLowerCase(), library.typeName(id).toLowerCase());
    expect(`the block size of ${type}`, blockBytes, Number(library.rowSize(id, blockElements)));
  }
  expect(`operation ${NONE}`, "NONE", library.operationName(NONE));
  expect(`operation ${MUL_MAT}`, "MUL_MAT", library.operationName(MUL_MAT));
  expect(`operation ${MUL_MAT_ID}`, "MUL_MAT_ID", library.operationName(MUL_MAT_ID));
  const context = library.contextDefaults();
  expect("context default n_ctx", 512, context.n_ctx);
  expect("context default n_batch", 2048, context.n_batch);
  expect("context default type_k", TENSOR_TYPES.F16.id, context.type_k);
  expect("context default type_v", TENSOR_TYPES.F16.id, context.type_v);
  expect("context default offload_kqv", true, context.offload_kqv);
  const quantize = library.quantizeDefaults();
  expect("quantize default output type (unset)", quantize.output_tensor_type, quantize.token_embedding_type);
  expect("quantize default quantize_output_tensor", true, quantize.quantize_output_tensor);
  expect("quantize default dry_run", false, quantize.dry_run);
  const model = library.modelDefaults();
  expect("model default use_extra_bufts", true, model.use_extra_bufts);
  expect("model default vocab_only", false, model.vocab_only);
  const threadpool = library.threadpoolDefaults(3);
  expect("threadpool default n_threads", 3, threadpool.n_threads);
  expect("threadpool default poll", 50, threadpool.poll);
  expect("threadpool default paused", false, threadpool.paused);
}

function normalizeVersion(version: string): string {
  const match = /\d+\.\d+\.\d+/.exec(version);
  return match === null ? version : `v${match[0]}`;
}
