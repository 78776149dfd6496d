/**
 * How far a command is: which stage of how many, its share, and the seconds left of all stages together. Expected
 * seconds are corrected by what phases really took, each by its own kind where one is known, else by all of them.
 * Pure: the clock is handed in.
 */
import type { Phase, Stage, StagePart } from "../bench.ts";

export interface ProgressEvent {
  /** From 1, of how many; absent in work whose stages are not known beforehand. */
  readonly stage?: number;
  readonly of?: number;
  /** The stage, or what is being done where there are none. */
  readonly label: string;
  /** Which part of the stage, from 1; 1 where it has no parts. */
  readonly part: number;
  readonly parts: number;
  /** The kind of what is being done; the label, where there are no stages. */
  readonly phase: string;
  /** What is being done, and to which part, as far as the label does not say it. */
  readonly doing: string;
  /** From 0 to 1, of the stage. */
  readonly share: number;
  /** The same of all stages. */
  readonly totalShare: number;
  /** Of all stages; absent where nothing is known yet. */
  readonly secondsLeft?: number;
}

/** Seconds that were spent and had been expected. */
interface Speed {
  spent: number;
  expected: number;
}

/** A single slow phase says this much at most of all others. */
const WILDEST = 20;
/** Seconds that phases must have taken before they say much of other kinds: starting a process is no measure of the rest. */
const DOUBT = 5;
/** Part of a phase after which its own pace is believed. */
const TRUSTED_SHARE = 0.25;
/** A phase that takes longer than it should still has this part of it ahead. */
const NEVER_LESS = 0.1;

export class ProgressModel {
  readonly #now: () => number;
  #stages: Stage[] = [];
  #stage = -1;
  #part = 0;
  #partName = "";
  #phase = 0;
  /** What steps() told last. */
  #what = "";
  #latest = "";
  #share = 0;
  #stageShare = 0;
  /** Seconds on the clock when the phase, and the stage, began. */
  #phaseBegan: number;
  #stageBegan: number;
  readonly #speeds = new Map<string, Speed>();

  /** `now` counts seconds. */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = now;
    this.#phaseBegan = now();
    this.#stageBegan = now();
  }

  expect(ahead: readonly Stage[]): void {
    if (this.#stages.length === 0) this.#stages = [...ahead];
    else this.#stages = this.#stages.map((stage) => ahead.find(({ name }) => name === stage.name) ?? stage);
  }

  begin(name: string, part?: StagePart): void {
    const index = this.#stages.findIndex((stage) => stage.name === name);
    if (index < 0) return;
    this.#endPhase();
    if (index !== this.#stage) {
      this.#stageBegan = this.#now();
      this.#stageShare = 0;
    }
    this.#stage = index;
    this.#part = part?.index ?? 0;
    this.#partName = part?.name ?? "";
    this.#phase = 0;
    this.#what = "";
    this.#latest = "";
  }

  steps(what: string, done: number, total: number, latest = ""): void {
    const share = total === 0 ? 1 : Math.min(1, done / total);
    this.#latest = latest;
    if (this.#stage < 0) {
      if (what !== this.#what) this.#restart();
      this.#share = share;
    } else {
      const phase = this.#phases.findIndex(({ what: known }) => isOfKind(what, known));
      if (phase > this.#phase) {
        this.#endPhase();
        this.#phase = phase;
      }
      // a second pass does not take the bar back
      if (phase === this.#phase) this.#share = Math.max(this.#share, share);
    }
    this.#what = what;
  }

  /** Seconds since the stage began. */
  get stageSeconds(): number {
    return this.#now() - this.#stageBegan;
  }

  /** Undefined before anything was told. */
  event(): ProgressEvent | undefined {
    if (this.#stage < 0) {
      if (this.#what === "") return undefined;
      const { share, secondsLeft } = this.#paced();
      return {
        label: this.#what,
        part: 1,
        parts: 1,
        phase: this.#what,
        doing: this.#latest,
        share,
        totalShare: share,
        ...secondsLeft,
      };
    }
    const { name } = this.#stages[this.#stage] as Stage;
    const seconds = this.#stages.map((stage) => this.#sum(stage.parts.flat()));
    const all = seconds.reduce((sum, value) => sum + value, 0);
    const before = seconds.slice(0, this.#stage).reduce((sum, value) => sum + value, 0);
    const after = seconds.slice(this.#stage + 1).reduce((sum, value) => sum + value, 0);
    const own = seconds[this.#stage] as number;
    // what is learned of speeds does not take the bar back
    this.#stageShare = Math.max(this.#stageShare, own === 0 ? this.#share : this.#secondsDone() / own);
    const share = Math.min(1, this.#stageShare);
    return {
      stage: this.#stage + 1,
      of: this.#stages.length,
      label: name,
      part: this.#part + 1,
      parts: this.#parts,
      phase: this.#kind(),
      doing: this.#doing(),
      share,
      totalShare: all === 0 ? 0 : Math.min(1, (before + share * own) / all),
      ...(all === 0 ? {} : { secondsLeft: this.#leftOfStage() + after }),
    };
  }

  /** Without stages: the pace of what is counted. */
  #paced() {
    const share = this.#share;
    const spent = this.#now() - this.#phaseBegan;
    return { share, secondsLeft: share > 0 && share < 1 ? { secondsLeft: (spent * (1 - share)) / share } : {} };
  }

  /** What it was expected to be called, where it was expected. */
  #kind(): string {
    return this.#phases.find(({ what }) => isOfKind(this.#what, what))?.what ?? this.#what;
  }

  /** "3 of 12, Q3_K_M: evaluating", "probing, blk.3.ffn_up". */
  #doing(): string {
    const parts = this.#parts;
    if (this.#partName === "") return [this.#what, this.#latest].filter((word) => word !== "").join(", ");
    const which = `${this.#part + 1} of ${parts}, ${this.#partName}`;
    return this.#what === "" ? which : `${which}: ${this.#kind()}`;
  }

  /** A search may take more than was expected. */
  get #parts(): number {
    return Math.max(this.#stages[this.#stage]?.parts.length ?? 1, this.#part + 1);
  }

  get #phases(): readonly Phase[] {
    return this.#stages[this.#stage]?.parts[this.#part] ?? [];
  }

  /** Seconds that phases are now expected to take. */
  #sum(phases: readonly Phase[]): number {
    return phases.reduce((sum, phase) => sum + phase.seconds * this.#correction(phase.what), 0);
  }

  #correction(what: string): number {
    const own = this.#speeds.get(what);
    if (own !== undefined && own.expected > 0) return own.spent / own.expected;
    const all = { spent: 0, expected: 0 };
    for (const { spent, expected } of this.#speeds.values()) {
      all.spent += spent;
      all.expected += expected;
    }
    const ratio = (all.spent + DOUBT) / (all.expected + DOUBT);
    return Math.min(WILDEST, Math.max(1 / WILDEST, ratio));
  }

  /** Of the stage, as phases are now expected to take. */
  #secondsDone(): number {
    const parts = this.#stages[this.#stage]?.parts.slice(0, this.#part).flat() ?? [];
    const phases = this.#phases.slice(0, this.#phase);
    return this.#sum([...parts, ...phases]) + this.#share * this.#sum(this.#phases.slice(this.#phase, this.#phase + 1));
  }

  #leftOfStage(): number {
    const { parts } = this.#stages[this.#stage] as Stage;
    const later = this.#sum(this.#phases.slice(this.#phase + 1)) + this.#sum(parts.slice(this.#part + 1).flat());
    const phase = this.#phases[this.#phase];
    if (phase === undefined) return later;
    const expected = this.#sum([phase]);
    const spent = this.#now() - this.#phaseBegan;
    const byPlan = Math.max(expected - spent, NEVER_LESS * expected) * (1 - this.#share);
    const byPace = this.#share === 0 ? 0 : (spent * (1 - this.#share)) / this.#share;
    const trust = Math.min(1, this.#share / TRUSTED_SHARE);
    return later + trust * byPace + (1 - trust) * byPlan;
  }

  /** What it took counts where it really ran. */
  #endPhase(): void {
    const phase = this.#stage < 0 ? undefined : this.#phases[this.#phase];
    if (phase !== undefined && this.#share === 1) {
      const speed = this.#speeds.get(phase.what) ?? { spent: 0, expected: 0 };
      speed.spent += this.#now() - this.#phaseBegan;
      speed.expected += phase.seconds;
      this.#speeds.set(phase.what, speed);
    }
    this.#restart();
  }

  #restart(): void {
    this.#share = 0;
    this.#phaseBegan = this.#now();
  }
}

/** "quantizing plan" is of the kind "quantizing". */
export function isOfKind(what: string, kind: string): boolean {
  return what === kind || what.startsWith(`${kind} `);
}
