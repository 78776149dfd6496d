/** Tensors by whole layers, for units that are a pass over a text: tensors of a layer share inputs. */
import { tensorClass } from "../ggml/tensor-class.ts";
import type { TensorInfo } from "../gguf/model.ts";
import { type UnitSizes, unitBytes } from "./unit-bytes.ts";

/** As few groups as jobs and the size of a unit allow. What is in no layer is by itself. */
export function layerGroups(tensors: readonly TensorInfo[], sizes: UnitSizes): TensorInfo[][] {
  const mostBytes = unitBytes(sizes, 1);
  const groups: { readonly tensors: TensorInfo[]; bytes: number }[] = [];
  for (const layer of consecutiveLayers(tensors)) {
    const bytes = layer.reduce((sum, tensor) => sum + tensor.bytes, 0);
    const last = groups.at(-1);
    if (last !== undefined && last.bytes + bytes <= mostBytes) {
      last.tensors.push(...layer);
      last.bytes += bytes;
    } else {
      groups.push({ tensors: [...layer], bytes });
    }
  }
  return groups.map((group) => group.tensors);
}

function consecutiveLayers(tensors: readonly TensorInfo[]): TensorInfo[][] {
  const layers: { readonly layer: number | undefined; readonly tensors: TensorInfo[] }[] = [];
  for (const tensor of tensors) {
    const { layer } = tensorClass(tensor.name);
    const last = layers.at(-1);
    if (last !== undefined && layer !== undefined && last.layer === layer) last.tensors.push(tensor);
    else layers.push({ layer, tensors: [tensor] });
  }
  return layers.map((one) => one.tensors);
}
