/** A Hub of this machine: the part of its API that uploads speak, and what it was given. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const TOKEN = "hf_writerOfThisTest";
/** May read, not write. */
export const READER = "hf_readerOfThisTest";

interface Entry {
  readonly oid: string;
  readonly size: number;
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number };
}

export class StandInHub {
  /** Repositories: whether private, and the files of each branch. */
  readonly repositories = new Map<string, { isPrivate: boolean; branches: Map<string, Map<string, Entry>> }>();
  /** Large files, by their SHA-256. */
  readonly objects = new Map<string, Buffer>();
  readonly requests: string[] = [];
  /** Bytes of a part, where large files come in parts. */
  partBytes: number | undefined;
  /** Transfers that are still taken: the next one is cut in its middle. */
  transfersLeft = Number.POSITIVE_INFINITY;
  /** Answers to the next transfers, in the place of taking them. */
  readonly refusals: number[] = [];
  readonly #parts = new Map<string, Map<number, Buffer>>();
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => request.socket.destroy());
  });

  async listen(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  files(repository: string, branch = "main"): Map<string, Entry> {
    return this.repositories.get(repository)?.branches.get(branch) ?? new Map();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url ?? "", this.url).pathname);
    this.requests.push(`${request.method} ${path}`);
    const json = (status: number, value: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    };
    // storage has signed addresses, and no token
    if (path.startsWith("/storage/")) return this.#store(request, response, path);
    const body = await bytesOf(request);
    const token = request.headers.authorization?.replace("Bearer ", "");
    if (token !== TOKEN && token !== READER) return json(401, { error: `Invalid token ${token}` });
    const writes = /repos\/create|preupload|\/branch\/|\/commit\/|lfs\/objects/.test(path);
    if (writes && token === READER) return json(403, { error: `Forbidden: ${READER} is read-only` });
    if (path === "/api/repos/create") {
      const { name, organization, visibility } = JSON.parse(body.toString());
      this.repositories.set(`${organization}/${name}`, {
        isPrivate: visibility === "private",
        branches: new Map([["main", new Map()]]),
      });
      return json(200, { url: `${this.url}/${organization}/${name}`, id: "1" });
    }
    const [, repository = "", verb = "", rest = ""] =
      /^\/(?:api\/models\/)?([^/]+\/[^/]+?)(?:\.git\/info)?\/(revision|paths-info|preupload|branch|commit|lfs)\/(.*)$/.exec(
        path,
      ) ?? [];
    const found = this.repositories.get(repository);
    if (found === undefined) return json(404, { error: "Repository not found" });
    if (verb === "revision") return json(200, { _id: "1", id: repository, private: found.isPrivate });
    if (verb === "lfs") return json(200, this.#batch(JSON.parse(body.toString())));
    if (verb === "branch") {
      if (!found.branches.has(rest)) found.branches.set(rest, new Map(found.branches.get("main")));
      return json(200, {});
    }
    const branch = found.branches.get(rest);
    if (branch === undefined) return json(404, { error: "Invalid rev id" });
    if (verb === "paths-info") {
      const { paths } = JSON.parse(body.toString()) as { paths: string[] };
      return json(
        200,
        paths.flatMap((name) => (branch.has(name) ? [{ path: name, type: "file", ...branch.get(name) }] : [])),
      );
    }
    if (verb === "preupload") {
      const { files } = JSON.parse(body.toString()) as { files: { path: string; size: number }[] };
      return json(200, {
        files: files.map(({ path: name }) => ({
          path: name,
          uploadMode: /\.(gguf|png)$/.test(name) ? "lfs" : "regular",
          shouldIgnore: false,
        })),
      });
    }
    for (const line of body.toString().split("\n")) this.#commitLine(JSON.parse(line), branch);
    return json(200, { commitOid: "c0ffee", commitUrl: `${this.url}/${repository}/commit/c0ffee`, hookOutput: "" });
  }

  #commitLine(
    { key, value }: { key: string; value: { path: string; content: string; oid: string; size: number } },
    branch: Map<string, Entry>,
  ): void {
    if (key === "lfsFile") {
      if (!this.objects.has(value.oid)) throw new Error("an object that was never uploaded");
      const { oid, size } = value;
      branch.set(value.path, { oid: "0".repeat(40), size, lfs: { oid, size, pointerSize: 130 } });
    } else if (key === "file") {
      const content = Buffer.from(value.content, "base64");
      const oid = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
      branch.set(value.path, { oid, size: content.length });
    }
  }

  #batch({ objects }: { objects: { oid: string; size: number }[] }): unknown {
    const { partBytes } = this;
    return {
      transfer: partBytes === undefined ? "basic" : "multipart",
      objects: objects.map(({ oid, size }) => {
        if (this.objects.has(oid)) return { oid, size };
        const href = `${this.url}/storage/${oid}`;
        if (partBytes === undefined) return { oid, size, actions: { upload: { href } } };
        const parts = Array.from({ length: Math.ceil(size / partBytes) }, (_, index) => String(index + 1));
        const header = Object.fromEntries(parts.map((part) => [part.padStart(5, "0"), `${href}/${part}`]));
        return { oid, size, actions: { upload: { href, header: { ...header, chunk_size: String(partBytes) } } } };
      }),
    };
  }

  async #store(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const [, , oid = "", part] = path.split("/");
    if (request.method === "POST") {
      await bytesOf(request);
      const parts = [...(this.#parts.get(oid) ?? [])].sort(([one], [other]) => one - other);
      this.#keep(oid, Buffer.concat(parts.map(([, bytes]) => bytes)));
      response.writeHead(200).end("{}");
      return;
    }
    if (this.transfersLeft-- <= 0) {
      request.once("data", () => request.socket.destroy());
      return;
    }
    const bytes = await bytesOf(request);
    const refusal = this.refusals.shift();
    if (refusal !== undefined) {
      response.writeHead(refusal).end();
      return;
    }
    if (part === undefined) this.#keep(oid, bytes);
    else this.#parts.set(oid, (this.#parts.get(oid) ?? new Map()).set(Number(part), bytes));
    response.writeHead(200, { etag: `"${part ?? oid}"` }).end();
  }

  #keep(oid: string, bytes: Buffer): void {
    if (createHash("sha256").update(bytes).digest("hex") !== oid) throw new Error("other bytes than were announced");
    this.objects.set(oid, bytes);
  }
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
