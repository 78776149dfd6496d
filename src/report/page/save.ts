/** Saving to the file that prism review opened. */
import type { Plan } from "../../plan/plan.ts";
import { serializePlan } from "../../plan/serialize-plan.ts";
import type { ReportData } from "../html/report-data.ts";
import { byId } from "./dom.ts";

/** Bring the save button to life, where the page is served: `review` says for which content of the file it was made. */
export function mountSave(plan: () => Plan, review: ReportData["review"]): void {
  const button = document.getElementById("save");
  if (button === null || review === undefined) return;
  let { version } = review;
  button.addEventListener("click", async () => {
    const status = byId("saved");
    status.textContent = "Saving…";
    try {
      const response = await fetch("plan", {
        method: "PUT",
        headers: { "content-type": "application/json", "if-match": version },
        body: serializePlan(plan()),
      });
      const answer = (await response.json()) as { message: string; version?: string };
      version = answer.version ?? version;
      status.textContent = answer.message;
    } catch {
      status.textContent =
        "Not saved: prism review doesn't answer; is it still running? The download works without it.";
    }
  });
}
