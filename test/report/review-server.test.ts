import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { readPlan } from "../../src/plan/read-plan.ts";
import { renderRecipe } from "../../src/plan/recipe.ts";
import { replan } from "../../src/plan/replan.ts";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { type ReviewServer, startReview } from "../../src/report/review-server.ts";
import { scratchFolder } from "../cli/prism.ts";
import { runInMemory } from "./charts/run-in-memory.ts";

const folder = scratchFolder();
afterAll(folder.remove);

const { plan } = runInMemory();
const path = join(folder.path, "plan.json");
const edited = replan(plan, { budget: { kind: "like", fileType: "Q4_K_M" }, createdAt: plan.createdAt });

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A request with exactly these headers: fetch would refuse to send another Host or Origin. */
function ask(
  target: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const { method = "GET", headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const sent = request(target, { method, headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
    });
    sent.on("error", reject).end(body);
  });
}

describe("prism review", () => {
  let server: ReviewServer;
  let origin: string;
  let cookie: string;

  beforeEach(async () => {
    writeFileSync(path, serializePlan(plan));
    server = await startReview({ path, port: 0 });
    origin = new URL(server.url).origin;
    const entered = await ask(server.url);
    cookie = String(entered.headers["set-cookie"]).split(";")[0] as string;
  });
  afterEach(() => server.close());

  /** What the page says it was made from. */
  const versionOf = (page: string) => JSON.parse(/"version":("\\"[0-9a-f]{64}\\"")/.exec(page)?.[1] ?? '""') as string;
  const version = async () => versionOf((await ask(`${origin}/`, { headers: { cookie } })).text);
  const put = (headers: Record<string, string>, body = serializePlan(edited)) =>
    ask(`${origin}/plan`, { method: "PUT", headers: { "content-type": "application/json", ...headers }, body });
  const save = async (headers: Record<string, string>, body?: string) =>
    put({ "if-match": await version(), ...headers }, body);

  it("exchanges the token once for a cookie that scripts and other sites can't use, and serves the page to it", async () => {
    expect((await ask(server.url)).status).toBe(403);
    expect((await ask(`${origin}/`)).status).toBe(403);
    expect((await ask(`${origin}/?token=${"0".repeat(48)}`)).status).toBe(403);
    const page = await ask(`${origin}/`, { headers: { cookie } });
    expect(page.status).toBe(200);
    expect(page.text).toContain('<button type="button" id="save"');
    expect(page.headers["cache-control"]).toBe("no-store");
    expect(page.headers["x-frame-options"]).toBe("DENY");
  });

  it("sets the cookie HttpOnly and SameSite=Strict", async () => {
    const other = await startReview({ path, port: 0 });
    const entered = await ask(other.url);
    await other.close();
    expect(entered.status).toBe(303);
    expect(String(entered.headers["set-cookie"])).toMatch(/; HttpOnly; SameSite=Strict/);
  });

  it("saves what its page sends, to the opened file and nowhere else", async () => {
    expect(await save({ cookie, origin })).toMatchObject({
      status: 200,
      text: expect.stringContaining('"message":"Saved to plan.json."'),
    });
    expect(readFileSync(path, "utf8")).toBe(serializePlan(edited));
    expect(server.saves()).toBe(1);
    expect(readdirSync(folder.path)).toEqual(["plan.json"]);
  });

  it("brings the recipes beside the plan up to it, and leaves those that are somebody's own", async () => {
    const beside = (name: string) => join(folder.path, name);
    const [before, after] = [renderRecipe(plan), renderRecipe(edited)];
    writeFileSync(beside("recipe.sh"), before["recipe.sh"]);
    writeFileSync(beside("tensor-types.txt"), `${before["tensor-types.txt"]}# mine\n`);
    expect(await save({ cookie, origin })).toMatchObject({
      status: 200,
      text: expect.stringContaining(
        "Saved to plan.json, with recipe.sh. tensor-types.txt is not of this plan and left alone.",
      ),
    });
    expect(readFileSync(beside("recipe.sh"), "utf8")).toBe(after["recipe.sh"]);
    expect(readFileSync(beside("tensor-types.txt"), "utf8")).toContain("# mine");
    expect(readdirSync(folder.path).sort()).toEqual(["plan.json", "recipe.sh", "tensor-types.txt"]);
    for (const name of ["recipe.sh", "tensor-types.txt"]) rmSync(beside(name));
  });

  it.each([
    ["without the cookie", () => ({ origin })],
    ["with another cookie", () => ({ origin, cookie: "prism-review=00" })],
    ["from another site", () => ({ origin: "https://evil.example", cookie })],
    ["from nowhere", () => ({ cookie })],
    ["under another name", () => ({ origin: "http://evil.example", host: "evil.example", cookie })],
  ])("refuses to save %s", async (_what, headers) => {
    expect((await save(headers())).status).toBe(403);
    expect(readFileSync(path, "utf8")).toBe(serializePlan(plan));
  });

  it("refuses a page under another name, so that no site can point its own at it", async () => {
    expect((await ask(`${origin}/`, { headers: { cookie, host: "evil.example" } })).status).toBe(403);
  });

  it.each([
    ["no plan", "{}"],
    ["no JSON", "<plan>"],
    [
      "a plan of another model",
      serializePlan({ ...edited, source: { ...edited.source, headerHash: "cd".repeat(32) } }),
    ],
  ])("refuses %s", async (_what, body) => {
    expect((await save({ cookie, origin }, body)).status).toBe(409);
    expect(readFileSync(path, "utf8")).toBe(serializePlan(plan));
  });

  it("refuses a form's content types, which sites may send without asking", async () => {
    const answer = await save({ cookie, origin, "content-type": "text/plain" });
    expect(answer.status).toBe(415);
  });

  it("does not write over what another program wrote", async () => {
    const opened = await version();
    const other = serializePlan(replan(plan, { budget: { kind: "like", fileType: "Q6_K" } }));
    writeFileSync(path, other);
    // another page that knows of it does not help this one
    const reloaded = await version();
    expect(await put({ cookie, origin, "if-match": opened })).toMatchObject({ status: 409 });
    expect(await put({ cookie, origin })).toMatchObject({ status: 409 });
    expect(readFileSync(path, "utf8")).toBe(other);
    expect((await put({ cookie, origin, "if-match": reloaded })).status).toBe(200);
  });

  it("takes one of two saves from the same content, and the next from what it answered", async () => {
    const opened = await version();
    const answers = await Promise.all([1, 2].map(() => put({ cookie, origin, "if-match": opened })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    const saved = answers.find(({ status }) => status === 200)?.text ?? "";
    expect((await put({ cookie, origin, "if-match": versionOf(saved) })).status).toBe(200);
    expect(server.saves()).toBe(2);
  });

  it("leaves a second review its own cookie: a browser sends both to both", async () => {
    const other = await startReview({ path, port: 0 });
    const entered = await ask(other.url);
    await other.close();
    const second = String(entered.headers["set-cookie"]).split(";")[0] as string;
    expect(second.split("=")[0]).not.toBe(cookie.split("=")[0]);
    expect((await ask(`${origin}/`, { headers: { cookie: `${cookie}; ${second}` } })).status).toBe(200);
  });

  it("takes its token once and alone, and not from HEAD", async () => {
    const other = await startReview({ path, port: 0 });
    const twice = await ask(`${other.url}&token=x`);
    const head = await ask(other.url, { method: "HEAD" });
    expect([twice.status, head.status]).toEqual([403, 403]);
    expect((await ask(other.url)).status).toBe(303);
    await other.close();
  });

  it("answers a preflight without letting other sites in, and finds its cookie among others of its name", async () => {
    const preflight = await ask(`${origin}/plan`, { method: "OPTIONS", headers: { origin: "http://evil.example" } });
    expect([preflight.status, preflight.headers["access-control-allow-origin"]]).toEqual([204, undefined]);
    const name = cookie.split("=")[0];
    expect((await ask(`${origin}/`, { headers: { cookie: `${name}=x; ${cookie}` } })).status).toBe(200);
  });

  it("reads no body of who may not save, and none far longer than the plan", async () => {
    const headers = { origin, "content-type": "application/json" };
    const body = " ".repeat(4 * readFileSync(path).length + 2 ** 20 + 1);
    expect((await ask(`${origin}/plan`, { method: "PUT", headers, body }).catch(() => ({ status: 403 }))).status).toBe(
      403,
    );
    const long = await ask(`${origin}/plan`, {
      method: "PUT",
      headers: { ...headers, cookie, "content-length": String(body.length) },
      body,
    }).catch(() => ({ status: 413 }));
    expect(long.status).toBe(413);
  });

  it("serves nothing else", async () => {
    for (const other of ["/plan", "/plan.json", "/../plan.json", "/etc/passwd"]) {
      expect((await ask(`${origin}${other}`, { headers: { cookie } })).status).toBe(404);
    }
  });

  it("refuses what is no plan before it listens", async () => {
    writeFileSync(path, "{}");
    await expect(startReview({ path, port: 0 })).rejects.toThrow("expected a plan");
    expect(() => readPlan(readFileSync(path, "utf8"), path)).toThrow();
  });
});
