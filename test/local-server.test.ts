import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Hono } from "hono";
import { afterEach, describe, expect, it } from "vitest";
import {
  type ConnectionLimits,
  type LocalServer,
  localServer,
  type NodeBindings,
  whenOver,
} from "../src/local-server.ts";

let server: LocalServer | undefined;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server?.close();
});

/** `/long` waits until it is let go, `/large` is more than a socket takes at once, a body is read whole. */
async function start(limits: Partial<ConnectionLimits>) {
  const app = new Hono<{ Bindings: NodeBindings }>();
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const over: string[] = [];
  app.onError((_error, context) => context.text("failed", 500));
  app.get("/long", async (context) => {
    whenOver(context.env, () => over.push("long"));
    await opened;
    return context.text("done");
  });
  app.get("/large", (context) => {
    whenOver(context.env, () => over.push("large"));
    return context.text("x".repeat(50_000_000));
  });
  app.post("/", async (context) => context.text(await context.req.text()));
  app.get("/", (context) => context.text("here"));
  server = localServer(app, limits);
  const url = new URL(await server.listen({ host: "127.0.0.1", port: 0 }));
  return { url, over, open: () => open() };
}

async function dial(url: URL, text = ""): Promise<Socket> {
  const socket = connect(Number(url.port), url.hostname);
  sockets.push(socket);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(text);
  return socket;
}

/** What a server says until it ends the connection. */
async function said(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("latin1").on("data", (part: string) => {
    text += part;
  });
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

describe("a server of this machine", () => {
  it.each([
    ["sends nothing", ""],
    ["sends half a head", "GET / HTTP/1.1\r\nHost: local"],
    ["sends half a body", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"],
    ["keeps its connection after an answer", get("/")],
  ])("cuts a client that %s", async (_what, text) => {
    const { url } = await start({ headMs: 200, requestMs: 300, idleMs: 200 });
    const socket = await dial(url, text);
    expect(await said(socket)).toMatch(/^$|408|here/);
    expect(await (await fetch(url)).text()).toBe("here");
  });

  it("cuts a client that does not read its answer, and not one that waits for it", async () => {
    const { url, over, open } = await start({ stallMs: 200, idleMs: 200 });
    const waiting = await dial(url, get("/long"));
    const deaf = await dial(url, get("/large"));
    deaf.pause();
    await expect.poll(() => over).toEqual(["large"]);
    open();
    expect(await said(waiting)).toContain("done");
  });

  it("does not let an answer wait for ever for a client that reads a little now and then", async () => {
    const { url, over } = await start({ answerMs: 400 });
    const slow = await dial(url, get("/large"));
    const reading = setInterval(() => slow.read(1), 50);
    slow.pause();
    await expect.poll(() => over).toEqual(["large"]);
    clearInterval(reading);
  });

  it("tells of each request of a connection that is cut, also of those that wait behind another", async () => {
    const { url, over, open } = await start({});
    const socket = await dial(url, get("/long").repeat(20));
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.destroy();
    await expect.poll(() => over).toHaveLength(20);
    open();
  });

  it("lets an answer wait behind a longer one on its connection", async () => {
    const { url, open } = await start({ stallMs: 150, idleMs: 150 });
    const socket = await dial(url, get("/long") + get("/"));
    setTimeout(open, 500);
    expect(await said(socket)).toMatch(/done[\s\S]*here/);
  });

  it("takes no more connections than it may have, and others again when some end", async () => {
    const { url } = await start({ connections: 3 });
    const taken = await Promise.all([1, 2, 3].map(() => dial(url)));
    expect(await said(await dial(url, get("/")))).toBe("");
    for (const socket of taken) socket.destroy();
    await expect
      .poll(() =>
        fetch(url).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  });

  it("stops though clients sent half a request, send nothing or read nothing", async () => {
    const { url } = await start({ stallMs: 300 });
    await dial(url);
    await dial(url, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf");
    (await dial(url, get("/large"))).pause();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await server?.close();
  });
});
