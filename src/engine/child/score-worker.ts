/** A worker thread of the engine's child: scores its share of each batch it is sent. */
import { parentPort } from "node:worker_threads";
import { type ScoreTask, scoreRows } from "./score-rows.ts";

parentPort?.on("message", ({ task, part, parts }: { task: ScoreTask; part: number; parts: number }) => {
  scoreRows(task, part, parts);
  parentPort?.postMessage(part);
});
