// The node's own socket: what commands of the same user on the same machine ask of it, as HTTP over a unix socket that only
// that user can reach. It checks what it is given, hands over to the node, and decides nothing.

import { Hono } from "hono";
import { type Digest, parseDigest } from "../base/digest.ts";
import { asMeshError, ERROR_CODES, MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import type { ContentRef } from "../mesh/content.ts";
import { isRole, type Role } from "../mesh/roles.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { NodeService } from "./node-service.ts";
import { type FeedMessage, type RunFeed } from "./run-feed.ts";
import { parseSubmission } from "./run-options.ts";

/** What stands behind the socket. */
export interface ApiNode extends Omit<NodeService, "run" | "submit" | "watchRun"> {
  readonly runs: ActiveRuns;
  /** The feed of a run, wherever it is coordinated. Throws `run.not-found`. */
  feedOf(run: string, signal: AbortSignal): AsyncIterable<FeedMessage>;
  /** Ends the node after this answer. */
  stop(): void;
}

/** The routes. Every answer is JSON, or lines of JSON where something lasts. */
export function localApi(node: ApiNode): Hono {
  const api = new Hono();
  api.onError((error, context) => {
    const known = asMeshError(error) ?? new MeshError("node.failed", error.message, { cause: error });
    return context.json({ error: known.toJSON() }, ERROR_CODES[known.code].http);
  });
  api.notFound((context) =>
    context.json(
      { error: new MeshError("peer.version", `The node does not know ${context.req.path}`).toJSON() },
      ERROR_CODES["peer.version"].http,
    ),
  );

  api.get("/v1/status", async (context) => context.json(await node.status()));
  api.get("/v1/peers", async (context) => context.json(await node.peers()));
  api.post("/v1/peers/:peer/ping", async (context) => {
    const { count } = await bodyOf(context.req.raw);
    const times = integer(count, "count", 1, MOST_PINGS);
    return context.json(await node.ping(context.req.param("peer"), times, context.req.raw.signal));
  });
  api.post("/v1/peers/:peer/revoke", async (context) => context.json(await node.revoke(context.req.param("peer"))));
  api.post("/v1/drain", async (context) => {
    const { peer, on } = await bodyOf(context.req.raw);
    return context.json(await node.drain(peer === null ? null : text(peer, "peer"), on === true));
  });
  api.post("/v1/invites", async (context) => {
    const { roles, ttlMs, memberForMs } = await bodyOf(context.req.raw);
    const wish = {
      roles: rolesOf(roles),
      ttlMs: integer(ttlMs, "ttlMs", 1, LIMITS.inviteMostMs),
      memberForMs: memberForMs === null ? null : integer(memberForMs, "memberForMs", 1, LIMITS.memberMostMs),
    };
    return context.json(await node.invite(wish));
  });
  api.post("/v1/invites/end", async (context) => {
    const { code } = await bodyOf(context.req.raw);
    return context.json(await node.inviteEnd(text(code, "code"), context.req.raw.signal));
  });

  api.get("/v1/runs", async (context) => context.json(await node.activeRuns()));
  api.post("/v1/runs", async (context) => {
    const { feed, stop } = node.runs.start(parseSubmission(await bodyOf(context.req.raw)));
    return lines(feed.read(), () => stop.cancel());
  });
  api.post("/v1/runs/detached", async (context) => {
    const { feed } = node.runs.start(parseSubmission(await bodyOf(context.req.raw)));
    return lines(untilStarted(feed));
  });
  api.get("/v1/runs/:run/feed", (context) => {
    const gone = new AbortController();
    return lines(node.feedOf(context.req.param("run"), gone.signal), () => gone.abort());
  });
  api.post("/v1/runs/:run/cancel", async (context) => {
    const { force } = await bodyOf(context.req.raw);
    return context.json(await node.cancelRun(context.req.param("run"), force === true));
  });

  api.post("/v1/content/fetch", async (context) => {
    const { wanted } = await bodyOf(context.req.raw);
    return context.json(await node.fetch(wantedOf(wanted), context.req.raw.signal));
  });
  api.post("/v1/content/locate", async (context) => {
    const { wanted } = await bodyOf(context.req.raw);
    return context.json([...(await node.locate(wantedOf(wanted)))]);
  });

  api.post("/v1/stop", (context) => {
    // the answer goes first
    setTimeout(() => node.stop(), STOP_DELAY_MS);
    return context.json({ stopping: true });
  });
  return api;
}

const STOP_DELAY_MS = 20;
const MOST_PINGS = 100;
const MOST_WANTED = 10_000;

async function* untilStarted(feed: RunFeed): AsyncGenerator<FeedMessage> {
  for await (const message of feed.read()) {
    yield message;
    if (message.kind === "event" && message.event.kind === "run-started") return;
  }
}

/** An answer that grows: a message a line, taken only as fast as the reader reads. `onGone` is called when the reader leaves early. */
function lines(messages: AsyncIterable<FeedMessage>, onGone: () => void = () => undefined): Response {
  const iterator = messages[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const step = await iterator.next();
        if (step.done === true) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(step.value)}\n`));
      } catch (error) {
        const known = asMeshError(error) ?? new MeshError("node.failed", "The node failed", { cause: error });
        const failed: FeedMessage = { kind: "failed", error: known.toJSON() };
        controller.enqueue(encoder.encode(`${JSON.stringify(failed)}\n`));
        controller.close();
      }
    },
    cancel() {
      onGone();
      void iterator.return?.();
    },
  });
  return new Response(body, { headers: { "content-type": "application/jsonl" } });
}

async function bodyOf(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength > LIMITS.apiRequestBytes) throw new MeshError("usage.invalid", "The request is too large");
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes) || "{}");
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // said below
  }
  throw new MeshError("usage.invalid", "The request is no JSON object");
}

function text(value: unknown, name: string): string {
  if (typeof value === "string" && value.length <= 1_000) return value;
  throw new MeshError("usage.invalid", `The request's ${name} is no text`);
}

function integer(value: unknown, name: string, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new MeshError("usage.invalid", `The request's ${name} must be a whole number from ${least} to ${most}`);
}

function rolesOf(value: unknown): readonly Role[] {
  if (Array.isArray(value) && value.every((role): role is Role => typeof role === "string" && isRole(role)))
    return value;
  throw new MeshError("usage.invalid", "The request's roles are none");
}

function wantedOf(value: unknown): readonly ContentRef[] {
  if (!Array.isArray(value) || value.length > MOST_WANTED)
    throw new MeshError("usage.invalid", "The request's wanted content is no list");
  return value.map((each: unknown): ContentRef => {
    const { kind, digest } = (each ?? {}) as { kind?: unknown; digest?: unknown };
    if (kind !== "blob" && kind !== "layer") throw new MeshError("usage.invalid", "Content is a blob or a layer");
    return { kind, digest: digestOf(text(digest, "digest")) };
  });
}

function digestOf(value: string): Digest {
  try {
    return parseDigest(value);
  } catch (cause) {
    throw new MeshError("usage.invalid", "The request's digest is none", { cause });
  }
}
