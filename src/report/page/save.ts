/** Saving to the file that prism review opened. */
import type { Plan } from "../../plan/plan.ts";
import { serializePlan } from "../../plan/serialize-plan.ts";
import { byId } from "./dom.ts";

/** Bring the save button to life, where the page is served. */
export function mountSave(plan: () => Plan): void {
  const button = document.getElementById("save");
  if (button === null) return;
  button.addEventListener("click", async () => {
    const status = byId("saved");
    status.textContent = "Saving…";
    try {
      const response = await fetch("plan", {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: serializePlan(plan()),
      });
      const { message } = (await response.json()) as { message: string };
      status.textContent = message;
    } catch {
      status.textContent =
        "Not saved: prism review doesn't answer; is it still running? The download works without it.";
    }
  });
}
