import { describe, expect, it } from "vitest";
import { attackServers } from "../../campaign/servers.ts";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";

describe("hostile clients", () => {
  it("neither end a server nor hold it, and what is asked well afterwards is answered rightly", async () => {
    const plan = serializePlan(runInMemory().plan);
    const outcome = await attackServers({ seed: 1, requests: 96, plan });
    expect(outcome).toEqual({ requests: 96, crashes: 0, hangs: 0, wrong: [] });
  });
});
