import { describe, expect, it } from "vitest";
import { attackServers } from "../../campaign/servers.ts";

describe("hostile clients", () => {
  it("neither end a server nor hold it, and what is asked well afterwards is answered rightly", async () => {
    const outcome = await attackServers({ seed: 1, requests: 64 });
    expect(outcome).toEqual({ requests: 64, crashes: 0, hangs: 0, wrong: [] });
  });
});
