/** What a stage of a campaign is: how its work is cut into units, how one is measured, and how all become one result. */
import type { TSchema } from "@sinclair/typebox";
import type { Bench } from "../bench.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Campaign, CampaignHead, StageId } from "./campaign-document.ts";

/** A campaign that was opened on this machine, with its model. */
export interface CampaignPlace {
  readonly directory: string;
  readonly campaign: Campaign;
  readonly source: OpenModel;
}

export interface PlannedUnit {
  readonly of: unknown;
  /** Bytes to read, about. */
  readonly cost: number;
}

/** What measures units on this machine, opened once by a worker. */
export interface Worker {
  /** Units at a time. */
  readonly width: number;
  measure(of: unknown): Promise<unknown>;
  close(): Promise<void>;
}

export interface DoneUnit {
  readonly of: unknown;
  readonly value: unknown;
}

/** The units of the next round by all that is done, in the order of the units; none: that was all. Pure. */
export type RoundChoice = (done: readonly DoneUnit[]) => readonly PlannedUnit[];

export interface ShardStage {
  readonly id: StageId;
  /** Counts changes of what is measured. */
  readonly method: number;
  /** Bytes of cost a second and thread, on a slow machine: for limits of time before anything was measured. */
  readonly costPerSecond: number;
  /** Of a part's value. */
  readonly value: TSchema;
  /** What it merges to is a GGUF file, not a document. */
  readonly writesGguf?: true;
  /** What a unit is called in messages. */
  name(of: unknown): string;
  /** Of a stage with rounds, those of the first. */
  units(place: Pick<CampaignPlace, "source"> & { readonly campaign: CampaignHead }): readonly PlannedUnit[];
  /** Of a stage whose later units follow from the values of earlier ones. */
  rounds?(place: CampaignPlace): Promise<RoundChoice>;
  open(place: CampaignPlace, bench: Bench): Promise<Worker>;
  /** Write the result of all values, in the order of the units. Returns the document to print. */
  merge(
    place: CampaignPlace,
    values: readonly unknown[],
    output: string,
    bench: Bench,
    /** Replace files that stand there besides `output`. */
    force: boolean,
  ): Promise<unknown>;
}
