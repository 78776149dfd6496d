import type { Tensor2D } from "@tensorflow/tfjs";
import type { Products } from "../device/products.ts";
import type { Tf } from "./load.ts";

/** Products as operations of TensorFlow.js. Every tensor but the results is disposed of here. */
export function tfjsProducts(tf: Tf): Products<Tensor2D> {
  return {
    upload: (data, rows, columns) => tf.tensor2d(data, [rows, columns], "float32"),
    multiply: (a, b, transposeA, transposeB) => tf.tidy(() => tf.matMul(a, b, transposeA, transposeB)),
    addScaled: (a, b, factor) => tf.tidy(() => tf.add(a, tf.mul(b, factor))),
    stack: (parts) => tf.tidy(() => tf.concat([...parts], 0)),
    read: async (tensor) => Float32Array.from(await tensor.data<"float32">()),
    release: (...tensors) => tf.dispose([...tensors]),
  };
}
