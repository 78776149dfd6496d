/**
 * Tokens per second of the files of a run: of the plan, of its codes with error feedback, of the presets and of the members
 * of a family. They stand until all of them are there, and take turns, so that what else the machine does slows none alone.
 * Nothing else of a result depends on it; what a former run measured stays.
 */
import { join } from "node:path";
import { fileExists } from "../disk/aside-file.ts";
import type { Engine } from "../engine/engine.ts";
import { EngineError, UsageError } from "../errors.ts";
import { measureSpeeds, type Speed } from "../evaluate/speed.ts";
import { present } from "../present.ts";
import type { Measures } from "./measures.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run, RunRow, SweepPoint } from "./run-document.ts";
import type { CompleteRunRequest } from "./run-request.ts";
import { saveRun } from "./run-state.ts";

/** Rows a person chooses between; controls differ from them in no way that matters to speed. */
const TIMED: readonly RunRow["kind"][] = ["plan", "feedback", "preset", "rival"];

/** Whether a person chooses between rows of this kind. */
export function isChoice(kind: RunRow["kind"]): boolean {
  return TIMED.includes(kind);
}

export function isTimed({ request, source: { measures }, bench: { engine } }: OpenRun, kind: RunRow["kind"]): boolean {
  return TIMED.includes(kind) && timesFiles(request, measures, engine);
}

/** Whether anything is timed: next tokens, by the engine that is embedded. */
export function timesFiles(
  { speed }: Pick<CompleteRunRequest, "speed">,
  { text }: Pick<Measures, "text">,
  { programs }: Engine,
): boolean {
  return speed !== "off" && text && programs === undefined;
}

/** Throws UsageError where speed was asked for and can't be measured. */
export function checkSpeed(
  request: Pick<CompleteRunRequest, "speed">,
  measures: Pick<Measures, "text">,
  engine: Engine,
): void {
  if (request.speed !== "on" || timesFiles(request, measures, engine)) return;
  throw new UsageError(
    engine.programs === undefined
      ? "--speed on: this model is judged by documents or vectors, and only next tokens are timed; leave it out"
      : "--speed on: tokens are timed by the embedded engine; leave --llama-dir out, or use its llama-bench",
  );
}

/** The file of a row. */
export interface TimedFile extends Pick<RunRow, "label"> {
  readonly path: string;
}

/** Time what has no speed yet; the state with it, saved. */
export async function timeFiles(run: OpenRun, state: Run, made: readonly TimedFile[]): Promise<Run> {
  const { directory, bench } = run;
  const rows = state.rows.flatMap((row) => {
    const file = made.find(({ label }) => label === row.label);
    return file !== undefined && isTimed(run, row.kind) ? [{ ...row, file: file.path }] : [];
  });
  const points = (state.sweep?.points ?? []).flatMap((point) =>
    [point, ...(point.feedback === undefined ? [] : [point.feedback])].flatMap((member) =>
      member.path === undefined || !isTimed(run, "plan")
        ? []
        : [{ ...member, file: join(directory.path, member.path) }],
    ),
  );
  // files of one content are one file
  const files = new Map<string, string>();
  for (const { file, speed, sha256 = file } of [...rows, ...points]) {
    if (speed === undefined && !files.has(sha256) && (await fileExists(file))) files.set(sha256, file);
  }
  if (files.size === 0) return state;
  bench.progress.note(`timing ${files.size === 1 ? "a file" : `${files.size} files, in turn`}`);
  const speeds = await measureSpeeds([...files.values()], bench).catch((error: unknown) => {
    if (!(error instanceof EngineError)) throw error;
    bench.progress.note(`! no tokens per second: ${error.message}`);
    return [];
  });
  const bySha = new Map([...files.keys()].map((sha256, index) => [sha256, speeds[index]]));
  const timed = withSpeeds(state, (sha256) => (sha256 === undefined ? undefined : bySha.get(sha256)), isOf(rows));
  await saveRun(directory, timed);
  return timed;
}

const isOf = (rows: readonly Pick<RunRow, "label">[]) => {
  const labels = new Set(rows.map(({ label }) => label));
  return ({ label }: Pick<RunRow, "label">) => labels.has(label);
};

function withSpeeds(
  state: Run,
  speedOf: (sha256: string | undefined) => Speed | undefined,
  isTimedRow: (row: RunRow) => boolean,
): Run {
  const add = <Figures extends { readonly speed?: Speed; readonly sha256?: string }>(figures: Figures): Figures => ({
    ...figures,
    ...present({ speed: figures.speed ?? speedOf(figures.sha256) }),
  });
  const { sweep } = state;
  const addTo = (point: SweepPoint): SweepPoint =>
    point.path === undefined
      ? point
      : { ...add(point), ...present({ feedback: point.feedback && add(point.feedback) }) };
  return {
    ...state,
    rows: state.rows.map((row) => (isTimedRow(row) ? add(row) : row)),
    ...present({ sweep: sweep && { ...sweep, points: sweep.points.map(addTo) } }),
  };
}
