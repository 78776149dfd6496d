/**
 * The page of a plan on this machine, and saving to the file it was opened from and to the recipe files made of it that
 * lie beside; nothing else is served or written.
 *
 * Who may: only programs of this machine reach 127.0.0.1, but any page in a browser may send requests there. The token
 * of the address works once and is exchanged for a cookie that other sites can't send (SameSite=Strict); the Host must
 * be ours (another name that resolves here is refused), and a save must come from our own page (Origin).
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Context, Hono } from "hono";
import { writeFileAside } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { FormatError, PrismError } from "../errors.ts";
import { type ConnectionLimits, localServer, type NodeBindings } from "../local-server.ts";
import { PLAN, type Plan } from "../plan/plan.ts";
import { readPlan } from "../plan/read-plan.ts";
import { renderRecipe } from "../plan/recipe.ts";
import { serializePlan } from "../plan/serialize-plan.ts";
import { BodyError, createBodyReader } from "../request-body.ts";
import { showName } from "./charts/table.ts";
import { renderReport } from "./html/render-report.ts";

export interface ReviewServer {
  /** With the token that works once. */
  readonly url: string;
  /** Times the plan was saved. */
  saves(): number;
  close(): Promise<void>;
}

export interface ReviewOptions {
  /** The plan.json that is shown and saved to. */
  readonly path: string;
  /** 0: any free port. */
  readonly port: number;
  readonly onSave?: (plan: Plan) => void;
  readonly connections?: Partial<ConnectionLimits>;
}

const HOST = "127.0.0.1";
const COOKIE = "prism-review";
/** Bytes of a token. */
const TOKEN_BYTES = 24;
/** A plan that was edited is about as long as it was: bytes of a request, per byte of the opened file and beside them. */
const LENGTHENED = 4;
const MORE_BYTES = 2 ** 20;
/** Saves of the largest size that are held at once. */
const SAVES_HELD = 4;
/** A page makes one; a browser keeps a few. */
const CONNECTIONS = 64;

type App = { Bindings: NodeBindings };

/** Serve the plan at `path`. Throws what readPlan throws, and Node's error where the port is taken. */
export async function startReview(options: ReviewOptions): Promise<ReviewServer> {
  const app = new Hono<App>();
  const secrets = {
    token: randomBytes(TOKEN_BYTES).toString("hex"),
    session: randomBytes(TOKEN_BYTES).toString("hex"),
  };
  const file = await openPlanFile(options);
  let port = options.port;
  // browsers send the cookies of a host to all of its ports: two reviews must not take each other's
  const cookieName = () => `${COOKIE}-${port}`;
  const knows = (context: Context<App>) => hasSession(context, cookieName(), secrets.session);
  app.onError((error, context) => context.json({ message: error.message }, 500));
  app.notFound((context) => context.json({ message: "There is nothing here." }, 404));
  guard(app, () => [`${HOST}:${port}`, `localhost:${port}`]);
  // only this page may send more than a browser sends anywhere without asking
  app.options("*", (context) => context.body(null, 204, { allow: "GET, HEAD, PUT" }));
  let spent = false;
  app.get("/", async (context) => {
    // HEAD asks what GET would answer; a token twice is not the address that was printed
    const tokens = context.req.method === "GET" ? (context.req.queries("token") ?? []) : [];
    if (tokens.length === 1 && !spent && isSame(tokens[0] as string, secrets.token)) {
      spent = true;
      context.header("set-cookie", `${cookieName()}=${secrets.session}; HttpOnly; SameSite=Strict; Path=/`);
      return context.redirect("/", 303);
    }
    if (!knows(context)) return refuse(context, 403, NO_SESSION);
    return context.html(await file.page());
  });
  const most = LENGTHENED * file.bytes + MORE_BYTES;
  const readBody = createBodyReader({
    most,
    mostHeld: SAVES_HELD * most,
    tooLarge: `a plan of at most ${most} bytes is taken, ${LENGTHENED} times the opened one`,
  });
  app.put("/plan", async (context) => {
    if (!knows(context)) return refuse(context, 403, NO_SESSION);
    if (context.req.header("origin") !== `http://${context.req.header("host")}`) {
      return refuse(context, 403, "Not saved: the request is not from the page of prism review.");
    }
    try {
      // the body stays text: readPlan checks it as it checks a file
      return context.json(await file.save(await readBody(context.env), context.req.header("if-match")));
    } catch (error) {
      const status = error instanceof BodyError ? error.status : 409;
      if (error instanceof PrismError) return refuse(context, status, `Not saved: ${showName(error.message, 600)}`);
      throw error;
    }
  });
  const server = localServer(app, { connections: CONNECTIONS, ...options.connections });
  const url = await server.listen({ host: HOST, port });
  port = Number(new URL(url).port);
  return {
    url: `${url}/?token=${secrets.token}`,
    saves: file.saves,
    close: () => {
      server.cut();
      return server.close();
    },
  };
}

const NO_SESSION = "The address works once, in one browser; start prism review again for a new one.";

/** Refuse every request under another name, and keep answers out of caches and frames. */
function guard(app: Hono<App>, hosts: () => readonly string[]): void {
  app.use(async (context, next) => {
    for (const [name, value] of Object.entries(PRIVATE)) context.header(name, value);
    if (!hosts().includes(context.req.header("host") ?? "")) return refuse(context, 403, "Unknown host.");
    return next();
  });
}

/** Headers of every answer. */
const PRIVATE = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cross-origin-resource-policy": "same-origin",
};

function refuse(context: Context, status: 403 | 409 | BodyError["status"], message: string): Response {
  return context.json({ message }, status);
}

function hasSession(context: Context<App>, name: string, session: string): boolean {
  const cookies = (context.req.header("cookie") ?? "").split(/;\s*/);
  return cookies.some((cookie) => isSame(cookie, `${name}=${session}`));
}

function isSame(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

interface Saved {
  readonly message: string;
  /** Of the file as it is now: the next save of this page is made from it. */
  readonly version: string;
}

/** The opened file: its page, and saving to it unless somebody else, another page too, wrote it meanwhile. */
async function openPlanFile({ path, onSave }: ReviewOptions) {
  const name = showName(basename(path), 40);
  const read = async () => {
    const text = await readDocumentText(path, PLAN);
    return { plan: readPlan(text, path), version: versionOf(text) };
  };
  await read();
  const { size } = await stat(path);
  let saves = 0;
  let last: Promise<unknown> = Promise.resolve();
  const save = async (body: string, version: string | undefined): Promise<Saved> => {
    const edited = readPlan(body, "the plan from the page");
    const there = await read();
    if (there.version !== version) {
      throw new FormatError(path, "was changed since the page was loaded, by another page or program; reload the page");
    }
    checkSameModel(there.plan, edited, path);
    const next = serializePlan(edited);
    await writeFileAside(path, next);
    const recipes = await rewriteRecipes(dirname(path), there.plan, edited);
    saves++;
    onSave?.(edited);
    return { message: savedMessage(name, recipes), version: versionOf(next) };
  };
  return {
    bytes: size,
    saves: () => saves,
    async page() {
      const { plan, version } = await read();
      return renderReport({ plan }, { review: { file: name, version } });
    },
    /** `version`: of the file that the page was made from. One after another: each looks at what the last one left. */
    save(body: string, version: string | undefined): Promise<Saved> {
      const turn = last.then(() => save(body, version));
      last = turn.catch(() => undefined);
      return turn;
    },
  };
}

interface Recipes {
  /** Made anew of the saved plan. */
  readonly rewritten: readonly string[];
  /** Not as PRISM wrote them of the plan before: somebody's own. */
  readonly left: readonly string[];
}

/** Bring the recipe files beside a plan up to it; those that are not of the plan before are left alone. */
async function rewriteRecipes(folder: string, before: Plan, after: Plan): Promise<Recipes> {
  const rewritten: string[] = [];
  const left: string[] = [];
  const next = new Map(Object.entries(renderRecipe(after)));
  for (const [name, was] of Object.entries(renderRecipe(before))) {
    const file = join(folder, name);
    const content = await readFile(file, "utf8").catch(() => undefined);
    const wanted = next.get(name);
    if (content === undefined || content === wanted || wanted === undefined) continue;
    if (content !== was) {
      left.push(name);
      continue;
    }
    await writeFileAside(file, wanted);
    rewritten.push(name);
  }
  return { rewritten, left };
}

function savedMessage(name: string, { rewritten, left }: Recipes): string {
  const saved = `Saved to ${name}${rewritten.length === 0 ? "" : `, with ${rewritten.join(", ")}`}.`;
  if (left.length === 0) return saved;
  return `${saved} ${left.join(", ")} ${left.length === 1 ? "is" : "are"} not of this plan and left alone.`;
}

/** As an entity tag. */
function versionOf(text: string): string {
  return `"${createHash("sha256").update(text).digest("hex")}"`;
}

function checkSameModel(opened: Plan, edited: Plan, path: string): void {
  const names = (plan: Plan) => plan.tensors.map(({ name }) => name).join("\n");
  if (opened.source.headerHash === edited.source.headerHash && names(opened) === names(edited)) return;
  throw new FormatError(path, "holds a plan of another model than the one to save");
}
