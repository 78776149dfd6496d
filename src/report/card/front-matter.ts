/** The YAML head of a model card, as the Hub reads it (https://huggingface.co/docs/hub/model-cards). */

import { stringify } from "yaml";
import { present } from "../../present.ts";
import type { CardModel } from "./card-model.ts";
import type { HubMetadata } from "./hub-metadata.ts";

/** What the publisher says; it goes before what the source says. */
export interface CardOptions {
  readonly quantizedBy?: string | undefined;
  /** OWNER/NAME on the Hub. */
  readonly baseModel?: string | undefined;
  readonly license?: string | undefined;
  /** Where the card will be: OWNER/NAME. */
  readonly repository?: string | undefined;
}

/** Everything is a string or a list of them. */
export type FrontMatter = Readonly<Record<string, string | readonly string[]>>;

/** What the head says: only what the source, the run or the publisher do. */
export function frontMatter(models: readonly CardModel[], options: CardOptions): FrontMatter {
  const known = models.flatMap(({ metadata }) => metadata ?? []);
  const union = (list: (metadata: HubMetadata) => readonly string[]) => [...new Set(known.flatMap(list))];
  const bases = options.baseModel === undefined ? union(({ baseModels }) => baseModels) : [options.baseModel];
  const languages = union(({ languages }) => languages);
  const datasets = union(({ datasets }) => datasets);
  const pipelineTag = pipelineOf(models);
  return {
    ...(bases.length === 0 ? {} : { base_model: bases, base_model_relation: "quantized" }),
    ...licenseFields(known, models.length, options),
    ...(languages.length === 0 ? {} : { language: languages }),
    ...(datasets.length === 0 ? {} : { datasets }),
    ...present({ pipeline_tag: pipelineTag, quantized_by: options.quantizedBy }),
    tags: [...new Set(["gguf", "quantized", "prism", ...union(({ tags }) => tags)])],
  };
}

/** Render the head with its fences. Strings that YAML would read as anything else are quoted. */
export function renderFrontMatter(head: FrontMatter): string {
  return `---\n${stringify(head, { lineWidth: 0, defaultStringType: "PLAIN" })}---\n`;
}

/** The license of all models; of a family with several, none: a card has one. */
function licenseFields(known: readonly HubMetadata[], models: number, { license }: CardOptions): FrontMatter {
  if (license !== undefined) return { license };
  const [first] = known;
  if (first?.license === undefined || known.length < models) return {};
  const same = known.every((other) => other.license === first.license && other.licenseName === first.licenseName);
  if (!same) return {};
  return {
    license: first.license,
    ...present({ license_name: first.licenseName, license_link: first.licenseLink }),
  };
}

/** What the source says; else what the run shows it to be. */
function pipelineOf(models: readonly CardModel[]): string | undefined {
  const tags = models.map(({ metadata, plan, run }) => {
    if (metadata?.pipelineTag !== undefined) return metadata.pipelineTag;
    if (plan.facts.rankPooling === true || run.rows.some(({ rerank }) => rerank !== undefined)) return "text-ranking";
    if (run.rows.some(({ embedding }) => embedding !== undefined)) return "feature-extraction";
    return run.rows.some(({ ppl }) => ppl !== undefined) ? "text-generation" : undefined;
  });
  return tags.every((tag) => tag === tags[0]) ? tags[0] : undefined;
}
