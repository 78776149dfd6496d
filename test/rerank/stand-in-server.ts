/** A server that answers in the shapes recorded from llama-server v0.5.0. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** By path, from the JSON that was sent; 501 for other paths, 400 for what has an error. */
export type Answers = Readonly<Record<string, (body: Record<string, unknown>) => unknown>>;

const servers = new Set<Server>();

/** Listen; returns the address. */
export async function serve(answers: Answers): Promise<string> {
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      const answer = answers[request.url ?? ""]?.(text === "" ? {} : JSON.parse(text));
      const refused = (answer as { error?: unknown } | undefined)?.error !== undefined;
      response.statusCode = answer === undefined ? 501 : refused ? 400 : 200;
      const refusal = {
        error: { code: 501, message: "This server does not support reranking. Start it with `--reranking`" },
      };
      response.end(JSON.stringify(answer ?? refusal));
    });
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Stop all. */
export function stopServers(): void {
  for (const server of servers) server.close();
  servers.clear();
}

/** What a causal reranker with a projector answers: the probability of "yes" that `yesOf` gives a prompt, "no" the rest. */
export function seeingServer(yesOf: (prompt: string, images: readonly string[]) => number): Promise<string> {
  return serve({
    "/health": () => ({ status: "ok" }),
    "/tokenize": ({ content }) => ({ tokens: [content === "yes" ? 257 : 258] }),
    "/props": () => ({ modalities: { vision: true, video: true, audio: false }, media_marker: "<__media_Yo9__>" }),
    "/completion": ({ prompt }) => {
      const { prompt_string = `${prompt}`, multimodal_data = [] } = prompt as {
        prompt_string?: string;
        multimodal_data?: string[];
      };
      const yes = yesOf(prompt_string, multimodal_data);
      const top_probs = [
        { id: 257, token: "yes", prob: yes },
        { id: 258, token: "no", prob: 1 - yes },
      ];
      return { tokens_evaluated: 90, completion_probabilities: [{ id: 257, prob: yes, top_probs }] };
    },
  });
}
