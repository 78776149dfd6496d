import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // `npm run test:package`
    exclude: [...configDefaults.exclude, "test/package/**"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Children and worker threads of the program under test already use the cores.
    maxWorkers: 2,
  },
});
