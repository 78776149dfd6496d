/** Writes plan.schema.json from src/plan/plan-schema.ts: `npx tsx plans/make-schema.ts`. */
import { writeFileSync } from "node:fs";
import { PLAN_JSON_SCHEMA } from "../src/plan/plan-schema.ts";

writeFileSync(new URL("plan.schema.json", import.meta.url), `${JSON.stringify(PLAN_JSON_SCHEMA, null, 2)}\n`);
