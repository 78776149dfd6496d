/**
 * Scores blocks of chunks on one machine. The reference's logits of a block are kept in this machine's cache, as an evaluation
 * keeps them: candidates that are scored here share them, and models too large to be loaded together take turns.
 */
import { basename } from "node:path";
import type { Bench } from "../../bench.ts";
import type { EvaluationTokens, TokenScores } from "../../engine/engine.ts";
import { FormatError } from "../../errors.ts";
import { createLoadedModels } from "../../evaluate/loaded-models.ts";
import { keepInUse, logitsOf } from "../../evaluate/reference.ts";
import { scoreChunks } from "../../evaluate/score-model.ts";
import { chunksIn } from "../../evaluate/text.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import { openCandidates } from "../campaign-models.ts";
import type { CampaignPlace } from "../stage.ts";
import type { EvaluationOptions, EvaluationUnit } from "./evaluation-units.ts";

export interface BlockScorer {
  score(unit: EvaluationUnit): Promise<TokenScores>;
  close(): Promise<void>;
}

/** Throws FormatError where a file is not what the campaign was planned for. */
export async function createBlockScorer(
  { directory, campaign, source }: CampaignPlace,
  tokens: EvaluationTokens,
  { context, vocabSize, kv }: EvaluationOptions,
  bench: Bench,
): Promise<BlockScorer> {
  const loaded = createLoadedModels({ context, vocabSize }, bench);
  const candidates = await openCandidates(directory, campaign, bench);
  const plain = candidates.map(({ open }) => ({ open }));
  const cached = candidates.map(({ open }) => ({ open, kv }));
  const base = { open: source };
  const reference = {
    open: source,
    vocabSize,
    load: () => loaded.get(base),
    // what tells it from others without reading every byte, and from what it was before it was mended
    identity: async () => [campaign.model.fingerprint, source.revision].join(),
  };
  return {
    async score({ candidate, pass, from, to }) {
      const model = (pass === "kv" ? cached : plain)[candidate];
      if (model === undefined) throw new FormatError("campaign.json", `has no candidate ${candidate}; make it again`);
      const block = chunksIn(tokens, { from, to });
      const against = await logitsOf(reference, block, bench);
      const release = "logits" in against ? keepInUse(against.logits) : () => undefined;
      try {
        const own = await loaded.get(model, "loaded" in against ? base : undefined);
        const what = `evaluating ${basename(model.open.path)}`;
        const scores = await scoreChunks(own, block, block.chunks, against, what, bench);
        for (const read of [model.open, source]) await requireUnchanged(read, bench);
        return scores;
      } finally {
        release();
      }
    },
    async close() {
      await loaded.close();
      for (const { open } of candidates) await open.close();
    },
  };
}
