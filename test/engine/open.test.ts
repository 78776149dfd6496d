import { afterEach, describe, expect, it } from "vitest";
import { openEngine } from "../../src/engine/open-engine.ts";

const before = process.env.NODE_OPTIONS;
afterEach(() => {
  if (before === undefined) delete process.env.NODE_OPTIONS;
  else process.env.NODE_OPTIONS = before;
});

/** Open an engine whose processes do this before anything else. */
async function openDoing(script: string): Promise<unknown> {
  process.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(script)}`;
  return openEngine({ threads: 1 }).then(
    (engine) => engine.close(),
    (error: unknown) => error,
  );
}

describe("an engine whose process ends while it opens", () => {
  it.skipIf(process.platform === "win32")("says that it was killed, and not that it should be installed", async () => {
    expect(await openDoing("process.kill(process.pid, 'SIGKILL')")).toMatchObject({
      code: "engine",
      exitCode: 1,
      ended: "SIGKILL",
      message: expect.stringMatching(/^the engine's process ended during open \(SIGKILL\): somebody killed it/),
    });
  });

  it("says that there was no memory", async () => {
    const error = await openDoing("console.error('std::bad_alloc'); process.exit(7)");
    expect(error).toMatchObject({ code: "engine", exitCode: 1, ended: "exit code 7" });
  });

  it.skipIf(process.platform === "win32")(
    "blames koffi for a fault before it was loaded, and for nothing else",
    async () => {
      const opened = (signal: string) => openDoing(`process.kill(process.pid, '${signal}')`);
      expect(await opened("SIGSEGV")).toMatchObject({
        exitCode: 4,
        message: expect.stringContaining("koffi can't be loaded"),
      });
      expect(await opened("SIGABRT")).toMatchObject({ exitCode: 4, message: expect.not.stringContaining("koffi") });
    },
  );

  it("says that it should be installed where the fault is its own", async () => {
    const error = await openDoing("process.exit(7)");
    expect(error).toMatchObject({
      code: "engine-missing",
      exitCode: 4,
      message: expect.stringContaining("exit code 7"),
    });
  });
});
