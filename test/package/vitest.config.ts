import { defineConfig } from "vitest/config";

/** Of `npm run test:package`, which downloads packages and takes minutes on a busy machine. */
export default defineConfig({
  test: { include: ["test/package/*.test.ts"], testTimeout: 300_000, hookTimeout: 300_000 },
});
