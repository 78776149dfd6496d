/**
 * The page of a plan on this machine, and saving to the file it was opened from; nothing else is served or written.
 *
 * Who may: only programs of this machine reach 127.0.0.1, but any page in a browser may send requests there. The token
 * of the address works once and is exchanged for a cookie that other sites can't send (SameSite=Strict); the Host must
 * be ours (another name that resolves here is refused), and a save must come from our own page (Origin).
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { writeFileAside } from "../disk/aside-file.ts";
import { FormatError, PrismError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import { readPlan } from "../plan/read-plan.ts";
import { serializePlan } from "../plan/serialize-plan.ts";
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
}

const HOST = "127.0.0.1";
const COOKIE = "prism-review";
/** Bytes of a token. */
const TOKEN_BYTES = 24;
/** Bytes of a request: a plan as long as readPlan takes. */
const MOST_BYTES = 2 ** 28;

/** Serve the plan at `path`. Throws what readPlan throws, and Node's error where the port is taken. */
export async function startReview(options: ReviewOptions): Promise<ReviewServer> {
  const app = fastify({ bodyLimit: MOST_BYTES });
  const secrets = {
    token: randomBytes(TOKEN_BYTES).toString("hex"),
    session: randomBytes(TOKEN_BYTES).toString("hex"),
  };
  const file = await openPlanFile(options);
  let port = options.port;
  // browsers send the cookies of a host to all of its ports: two reviews must not take each other's
  const cookieName = () => `${COOKIE}-${port}`;
  guard(app, () => [`${HOST}:${port}`, `localhost:${port}`]);
  let spent = false;
  app.get<{ Querystring: { token?: string } }>("/", async (request, reply) => {
    const { token } = request.query;
    if (token !== undefined && !spent && isSame(token, secrets.token)) {
      spent = true;
      const cookie = `${cookieName()}=${secrets.session}; HttpOnly; SameSite=Strict; Path=/`;
      return reply.header("set-cookie", cookie).redirect("/", 303);
    }
    if (!hasSession(request, cookieName(), secrets.session)) return refuse(reply, 403, NO_SESSION);
    return reply.type("text/html; charset=utf-8").send(await file.page());
  });
  // the body stays text: readPlan checks it as it checks a file
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => done(null, body));
  app.put("/plan", async (request, reply) => {
    if (!hasSession(request, cookieName(), secrets.session)) return refuse(reply, 403, NO_SESSION);
    const { origin } = request.headers;
    if (origin !== `http://${request.headers.host}`) {
      return refuse(reply, 403, "Not saved: the request is not from the page of prism review.");
    }
    try {
      return await file.save(String(request.body), request.headers["if-match"]);
    } catch (error) {
      if (error instanceof PrismError) return refuse(reply, 409, `Not saved: ${showName(error.message, 600)}`);
      throw error;
    }
  });
  await app.listen({ host: HOST, port });
  const address = app.server.address();
  if (typeof address === "object" && address !== null) port = address.port;
  return {
    url: `http://${HOST}:${port}/?token=${secrets.token}`,
    saves: file.saves,
    close: async () => {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

const NO_SESSION = "The address works once, in one browser; start prism review again for a new one.";

/** Refuse every request under another name, and keep answers out of caches and frames. */
function guard(app: FastifyInstance, hosts: () => readonly string[]): void {
  app.addHook("onRequest", async (request, reply) => {
    reply.headers({
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "cross-origin-resource-policy": "same-origin",
    });
    if (!hosts().includes(request.headers.host ?? "")) return refuse(reply, 403, "Unknown host.");
    return undefined;
  });
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ message });
}

function hasSession(request: FastifyRequest, name: string, session: string): boolean {
  const cookies = (request.headers.cookie ?? "").split(/;\s*/);
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
    const text = await readFile(path, "utf8");
    return { plan: readPlan(text, path), version: versionOf(text) };
  };
  await read();
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
    saves++;
    onSave?.(edited);
    return { message: `Saved to ${name}.`, version: versionOf(next) };
  };
  return {
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

/** As an entity tag. */
function versionOf(text: string): string {
  return `"${createHash("sha256").update(text).digest("hex")}"`;
}

function checkSameModel(opened: Plan, edited: Plan, path: string): void {
  const names = (plan: Plan) => plan.tensors.map(({ name }) => name).join("\n");
  if (opened.source.headerHash === edited.source.headerHash && names(opened) === names(edited)) return;
  throw new FormatError(path, "holds a plan of another model than the one to save");
}
