/**
 * What a source says of itself in its general.* keys (docs/gguf.md of ggml), as the Hub's model cards say it. Values come
 * from strangers: what doesn't look like a value of its kind is left out.
 */

import type { MetadataValue } from "../../gguf/model.ts";
import { present } from "../../present.ts";
import { showName } from "../charts/table.ts";

export interface HubMetadata {
  /** An identifier of the Hub's, or "other". */
  readonly license?: string;
  readonly licenseName?: string;
  readonly licenseLink?: string;
  /** OWNER/NAME on the Hub. */
  readonly baseModels: readonly string[];
  /** The keys that named the base models. */
  readonly baseModelKeys: readonly string[];
  readonly languages: readonly string[];
  readonly tags: readonly string[];
  readonly datasets: readonly string[];
  readonly pipelineTag?: string;
}

type Metadata = ReadonlyMap<string, MetadataValue>;

/** Entries of one list; a longer one is cut. */
const MOST_ENTRIES = 40;

/** Tags that say what a text model does; converters put the Hub's pipeline_tag among general.tags. */
const PIPELINE_TAGS = [
  "text-generation",
  "image-text-to-text",
  "text-ranking",
  "feature-extraction",
  "sentence-similarity",
  "text-classification",
  "translation",
  "summarization",
  "any-to-any",
];

/** Read what a model says of itself; `model` is its metadata. */
export function readHubMetadata(metadata: Metadata): HubMetadata {
  const bases = baseModels(metadata);
  const tags = strings(metadata.get("general.tags")).filter((tag) =>
    /^[\p{L}\p{N}][\p{L}\p{N} ._+-]{0,60}$/u.test(tag),
  );
  const pipelineTag = tags.find((tag) => PIPELINE_TAGS.includes(tag));
  return {
    ...licenseOf(metadata),
    baseModels: [...new Set(bases.map(({ repository }) => repository))],
    baseModelKeys: bases.map(({ key }) => key),
    languages: strings(metadata.get("general.languages")).filter((name) => /^[a-z]{2,3}(-[a-z0-9]{2,8})*$/i.test(name)),
    tags: tags.filter((tag) => tag !== pipelineTag),
    datasets: strings(metadata.get("general.datasets")).filter((name) => /^[\w.-]+(\/[\w.-]+)?$/.test(name)),
    ...present({ pipelineTag }),
  };
}

function strings(value: MetadataValue | undefined): string[] {
  const list = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return list.filter((entry): entry is string => typeof entry === "string").slice(0, MOST_ENTRIES);
}

function licenseOf(metadata: Metadata): Pick<HubMetadata, "license" | "licenseName" | "licenseLink"> {
  const [license] = strings(metadata.get("general.license"));
  const [name] = strings(metadata.get("general.license.name"));
  const [link] = strings(metadata.get("general.license.link"));
  if (license === undefined) return {};
  const id = license.toLowerCase();
  // an identifier; a sentence or a name of somebody's own is "other" on the Hub
  const isId = /^[a-z0-9][a-z0-9.-]{0,40}$/.test(id);
  const licenseName = name ?? (isId ? undefined : license);
  return {
    license: isId ? id : "other",
    ...(licenseName === undefined ? {} : { licenseName: showName(licenseName, 100) }),
    ...(link !== undefined && /^(https?:\/\/\S+|[\w.-]+)$/.test(link) ? { licenseLink: showName(link, 300) } : {}),
  };
}

/** The repository of the source itself, where it says so; else those of the models it was made from. */
function baseModels(metadata: Metadata): { key: string; repository: string }[] {
  const find = (key: string) =>
    strings(metadata.get(key)).flatMap((value) => {
      const repository = hubRepository(value);
      return repository === undefined ? [] : [{ key, repository }];
    });
  const own = [
    "general.source.huggingface.repository",
    "general.source.repo_url",
    "general.repo_url",
    "general.source.url",
  ];
  for (const key of own) {
    const found = find(key);
    if (found.length > 0) return found;
  }
  const numbers = Array.from({ length: MOST_ENTRIES }, (_, number) => `general.base_model.${number}.repo_url`);
  return numbers.flatMap(find);
}

/** OWNER/NAME of a Hub address or of such a name itself. */
function hubRepository(value: string): string | undefined {
  const path = value.replace(/^https?:\/\/(www\.)?(huggingface\.co|hf\.co)\//i, "").replace(/[/?#]*$/, "");
  return isRepository(path) ? path : undefined;
}

/** Whether a text is OWNER/NAME as the Hub allows it. */
export function isRepository(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/.test(name);
}
