/** What the weights of a rank head show: rows that are the same give every document the same score. */
import type { ModelFile } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";

/** Bytes of a head that are compared: two rows of any model there is. */
const MOST_BYTES = 2 ** 24;

export async function constantHeadFindings(file: ModelFile): Promise<Finding[]> {
  const head = file.model.tensors.find(({ name }) => name === "cls.output.weight");
  const rows = head?.shape[1] ?? 1;
  if (head === undefined || rows < 2 || head.bytes > MOST_BYTES) return [];
  const data = await file.read(head, 0, head.bytes);
  const rowBytes = head.bytes / rows;
  const first = Buffer.from(data.subarray(0, rowBytes));
  for (let row = 1; row < rows; row++) {
    if (first.compare(data, row * rowBytes, (row + 1) * rowBytes) !== 0) return [];
  }
  return [
    {
      code: "rank-head-constant",
      severity: "error",
      message: `the ${rows} rows of ${head.name} are the same: every document gets the same score`,
      remedy: "convert the model again as a reranker",
    },
  ];
}
