/** Repairs of a tokenizer's keys: the same values, stored as llama.cpp reads them. */
import { mistypedKeys } from "../preflight/key-type-findings.ts";
import { TOKEN_KINDS_KEY, tokenKindRows } from "../preflight/vocabulary-row-findings.ts";
import { type RepairDraft, setU32 } from "./repair-draft.ts";

export function repairTokenizer(draft: RepairDraft): void {
  const { model } = draft;
  for (const { key, stored, wanted, mended } of mistypedKeys(model)) {
    if (mended === undefined) {
      const reason = `${key} is stored as ${stored}, expected ${wanted}, and has no such value; convert the model again`;
      draft.refusals.push({ reason, blocking: true });
      continue;
    }
    draft.keys.set(key, { kind: "set", keyValue: mended });
    draft.changes.push(`${key} as ${wanted}`);
  }
  // llama.cpp computes with the first row only: the count is a fact of the tensor
  const rows = tokenKindRows(model);
  if (rows === undefined) return;
  setU32(draft, TOKEN_KINDS_KEY, rows);
  draft.changes.push(`${TOKEN_KINDS_KEY} = ${rows}, the rows of token_types.weight`);
}
