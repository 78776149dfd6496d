/** Findings about the labels of a rank head: what its rows mean. */
import type { Model, TensorInfo } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";

/** Labels as classifiers have them that name nothing. */
const UNNAMED = /^label_\d+$/i;

/** Of a head of two rows whose labels say otherwise than llama-server reads them, or nothing. */
export function labelFindings({ arch }: Model, head: TensorInfo, labels: readonly string[]): Finding[] {
  const key = `${arch}.classifier.output_labels`;
  if (isSwapped(labels)) {
    return [
      {
        code: "rank-labels-swapped",
        severity: "warning",
        message: `${key} is ${labels.join(", ")}, and llama-server reports the first row of ${head.name} whatever it is called: its scores are inverted, prism's are not`,
        remedy: "prism repair puts the rows and labels in the order yes, no",
      },
    ];
  }
  if (labels.length !== 2 || !labels.every((label) => UNNAMED.test(label))) return [];
  return [
    {
      code: "rank-labels-unnamed",
      severity: "warning",
      message: `${key} is ${labels.join(", ")}: nothing says which means relevant; prism takes ${labels[1]}, as most classifiers are trained, llama-server the first row`,
      remedy: "prism evaluate --rerank says inverted where relevant documents score lower; see the model's id2label",
    },
  ];
}

/** Whether the labels of a yes/no head stand in the other order. */
export function isSwapped(labels: readonly string[] | undefined): boolean {
  return labels?.length === 2 && /^no$/i.test(labels[0] ?? "") && /^yes$/i.test(labels[1] ?? "");
}
