// The node that runs in the background, reached by its socket. It says what the node says; it never opens the store.

import { resolve } from "node:path";
import type { Digest } from "../base/digest.ts";
import { errnoOf, errorFromJson, type ErrorJson, MeshError } from "../base/errors.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { ContentRef, FetchReport } from "../mesh/content.ts";
import type { PeerView } from "../mesh/peer-view.ts";
import type { RunOutcome, RunRequest } from "./node.ts";
import type {
  ActiveRun,
  Invite,
  InviteEnd,
  InviteWish,
  NodeService,
  NodeStatus,
  PingReport,
  SubmittedRun,
} from "./node-service.ts";
import type { RunSubmission } from "./active-runs.ts";
import type { RunObserver } from "./observer.ts";
import type { FeedMessage } from "./run-feed.ts";
import { onAbort } from "./on-abort.ts";
import { openSocketPath } from "./socket-path.ts";

export class LocalClient implements NodeService, Disposable {
  readonly #socket: ReturnType<typeof openSocketPath>;

  private constructor(socket: ReturnType<typeof openSocketPath>) {
    this.#socket = socket;
  }

  /** The node of this home; null when none runs. */
  static async find(home: string): Promise<LocalClient | null> {
    const client = new LocalClient(openSocketPath(home));
    const until = performance.now() + LIMITS.nodeGoneMs;
    for (;;) {
      try {
        await client.status();
        return client;
      } catch (error) {
        if (!isReset(error) || performance.now() > until) {
          client[Symbol.dispose]();
          if (error instanceof MeshError && error.code === "node.not-running") return null;
          throw error;
        }
      }
      await Bun.sleep(LIMITS.nodeLookMs);
    }
  }

  async status(): Promise<NodeStatus> {
    return (await this.#ask("GET", "/v1/status")) as NodeStatus;
  }

  async peers(): Promise<readonly PeerView[]> {
    return (await this.#ask("GET", "/v1/peers")) as readonly PeerView[];
  }

  async ping(peer: string, count: number, signal: AbortSignal): Promise<PingReport> {
    return (await this.#ask("POST", `/v1/peers/${encodeURIComponent(peer)}/ping`, { count }, signal)) as PingReport;
  }

  async invite(wish: InviteWish): Promise<Invite> {
    return (await this.#ask("POST", "/v1/invites", wish)) as Invite;
  }

  async inviteEnd(code: string, signal: AbortSignal): Promise<InviteEnd> {
    return (await this.#ask("POST", "/v1/invites/end", { code }, signal)) as InviteEnd;
  }

  async revoke(peer: string): Promise<PeerView> {
    return (await this.#ask("POST", `/v1/peers/${encodeURIComponent(peer)}/revoke`)) as PeerView;
  }

  async drain(peer: string | null, on: boolean): Promise<PeerView> {
    return (await this.#ask("POST", "/v1/drain", { peer, on })) as PeerView;
  }

  async run({ observer, signal, killSignal, ...submission }: RunRequest): Promise<RunOutcome> {
    let id: string | null = null;
    // the run may be over by then, or the node: what there is to know is in the feed
    const cancel = (force: boolean) => {
      if (id !== null) void this.cancelRun(id, force).catch(() => undefined);
    };
    using _cancel = onAbort(signal, () => cancel(false));
    using _kill = onAbort(killSignal, () => cancel(true));
    const seen: RunObserver = {
      ...observer,
      event: (event) => {
        if (event.kind === "run-started") {
          id = event.run.id;
          if (signal.aborted) cancel(killSignal.aborted);
        }
        observer.event?.(event);
      },
    };
    return await follow(this.#feed("POST", "/v1/runs", absolute(submission)), seen);
  }

  async submit(submission: RunSubmission): Promise<SubmittedRun> {
    for await (const message of this.#feed("POST", "/v1/runs/detached", absolute(submission))) {
      if (message.kind === "event" && message.event.kind === "run-started")
        return { kind: "submitted", id: message.event.run.id, title: message.event.run.title };
      if (message.kind === "ended" && message.outcome.kind === "invalid") return message.outcome;
      if (message.kind === "failed") throw errorFromJson(message.error, "node.failed");
    }
    throw new MeshError("node.failed", "The node did not start the run");
  }

  async activeRuns(): Promise<readonly ActiveRun[]> {
    return (await this.#ask("GET", "/v1/runs")) as readonly ActiveRun[];
  }

  async watchRun(run: string, observer: RunObserver, signal: AbortSignal): Promise<RunOutcome> {
    return await follow(this.#feed("GET", `/v1/runs/${encodeURIComponent(run)}/feed`, undefined, signal), observer);
  }

  async cancelRun(run: string, force: boolean): Promise<ActiveRun> {
    return (await this.#ask("POST", `/v1/runs/${encodeURIComponent(run)}/cancel`, { force })) as ActiveRun;
  }

  async fetch(wanted: readonly ContentRef[], signal: AbortSignal): Promise<FetchReport> {
    return (await this.#ask("POST", "/v1/content/fetch", { wanted }, signal)) as FetchReport;
  }

  async locate(wanted: readonly ContentRef[]): Promise<ReadonlyMap<Digest, readonly string[]>> {
    return new Map((await this.#ask("POST", "/v1/content/locate", { wanted })) as [Digest, readonly string[]][]);
  }

  /** Asks the node to end. Returns its process id. */
  async stop(): Promise<number> {
    const { pid } = await this.status();
    await this.#ask("POST", "/v1/stop");
    return pid;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  async #ask(method: "GET" | "POST", path: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
    const response = await this.#send(method, path, body, signal);
    const answer: unknown = await response.json();
    if (response.ok) return answer;
    throw errorFromJson((answer as { readonly error: ErrorJson }).error, "node.failed");
  }

  async *#feed(
    method: "GET" | "POST",
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): AsyncGenerator<FeedMessage> {
    const response = await this.#send(method, path, body, signal);
    if (!response.ok || response.body === null)
      throw errorFromJson(((await response.json()) as { readonly error: ErrorJson }).error, "node.failed");
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line) as FeedMessage;
    }
  }

  async #send(method: "GET" | "POST", path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    try {
      return await fetch(`http://node${path}`, {
        unix: this.#socket.path,
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      const code = errnoOf(error);
      const isGone = code === "ENOENT" || code === "ECONNREFUSED" || code === "FailedToOpenSocket";
      throw new MeshError(isGone ? "node.not-running" : "node.failed", "Cannot reach the node of this machine", {
        cause: error,
      });
    }
  }
}

/** A process that is being killed takes connections, and drops them, until its sockets are closed. */
function isReset(error: unknown): boolean {
  return error instanceof MeshError && errnoOf(error.cause) === "ECONNRESET";
}

/** The node has another working directory. */
function absolute(submission: RunSubmission): RunSubmission {
  return { ...submission, path: resolve(submission.path) };
}

/** Tells an observer all that a feed says; returns how the run ended. */
export async function follow(feed: AsyncIterable<FeedMessage>, observer: RunObserver): Promise<RunOutcome> {
  for await (const message of feed) {
    switch (message.kind) {
      case "event":
        observer.event?.(message.event);
        break;
      case "output":
        observer.output?.(message.task, message.stream, Uint8Array.fromBase64(message.base64));
        break;
      case "notice":
        observer.notice?.(message.level, message.text);
        break;
      case "skipped":
        observer.notice?.("warning", `${message.bytes} bytes of output came too fast to be shown; the logs have them`);
        break;
      case "ended":
        return message.outcome;
      case "failed":
        throw errorFromJson(message.error, "node.failed");
    }
  }
  throw new MeshError("node.failed", "The node ended before the run did", {
    hint: "The run goes on when the node is back; `mesh attach` watches it then.",
  });
}

/** A peer's name or the start of its id, among views. Throws `peer.not-found`. */
export function findPeer(views: readonly PeerView[], named: string): PeerView {
  const found = views.filter(({ name, id }) => name === named || (named.length >= 4 && id.startsWith(named as PeerId)));
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw new MeshError(
      "peer.not-found",
      `Cannot find machine ${JSON.stringify(named)}: ${found.length === 0 ? "no member has that name" : "it names several"}`,
    );
  return first;
}
