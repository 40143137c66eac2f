// This machine's node in the foreground: who comes and goes, as a live table, as lines, or as JSON lines, until Ctrl-C.

import { ERROR_CODES } from "../base/errors.ts";
import { printable } from "../base/text.ts";
import type { PeerState, PeerView } from "../mesh/peer-view.ts";
import type { NodeKeeper, NodeService, ServeOptions } from "../node/node-service.ts";
import { type CommandContext, printJson, printLines } from "./context.ts";
import { addressWords, meshWords, nodeJson, peerWords, remarkWords } from "./text/mesh-words.ts";
import { nodeTable } from "./view/node-table.ts";
import { Screen } from "./view/screen.ts";

interface ForegroundOptions {
  readonly keeper: NodeKeeper;
  readonly options: ServeOptions;
  readonly show: "live" | "plain" | "json";
  /** Lines to print once the node serves. */
  readonly onServing?: (service: NodeService) => Promise<readonly string[]>;
}

const REFRESH_MS = 500;
const STOP_HINT = "Ctrl-C lets its tasks end and stops the node; `mesh up` runs it in the background.";
const EXIT_INTERRUPTED = ERROR_CODES["run.interrupted"].exit;

/** Runs the node until Ctrl-C or `mesh down`. Returns the exit code. */
export async function runNode(
  context: CommandContext,
  { keeper, options, show, onServing }: ForegroundOptions,
): Promise<number> {
  const asked = Promise.withResolvers<void>();
  context.onInterrupt((times) => {
    if (times > 1) context.exitNow(EXIT_INTERRUPTED);
    asked.resolve();
  });
  await using served = await keeper.serve(options);
  const { service } = served;
  void served.stopAsked.then(() => asked.resolve());
  const status = await service.status();
  const opening = [
    `${printable(status.name)} serves ${meshWords(status.mesh)} at ${status.addresses.map(addressWords).join(", ")}.`,
    ...((await onServing?.(service)) ?? []),
  ];
  if (show === "json") printJson(context, { event: "serving", ...status });
  else printLines(context, opening);
  context.stdout.flush();
  const view = makeView(context, show);
  const stopped = asked.promise.then(() => true);
  try {
    do view.show(await service.peers());
    while (!(await Promise.race([stopped, Bun.sleep(REFRESH_MS).then(() => false)])));
  } finally {
    view.close();
  }
  if (show !== "json") printLines(context, ["Stopping: its tasks end or go elsewhere. Ctrl-C again ends it now."]);
  context.stdout.flush();
  return 0;
}

interface NodeView {
  show(peers: readonly PeerView[]): void;
  close(): void;
}

function makeView(context: CommandContext, show: ForegroundOptions["show"]): NodeView {
  if (show === "live") {
    const screen = new Screen({ write: (text) => context.stdout.write(text), size: context.terminalSize });
    return {
      show: (peers) =>
        screen.update(
          [],
          ["", ...nodeTable(peers, { style: context.style, wide: false }), "", context.style.dim(STOP_HINT)],
        ),
      close: () => screen.close([]),
    };
  }
  const changes = new StateChanges();
  return {
    show(peers) {
      for (const peer of changes.of(peers)) {
        if (show === "json") printJson(context, { event: "node", ...nodeJson(peer) });
        else printLines(context, [changeWords(peer)]);
      }
      context.stdout.flush();
    },
    close: () => undefined,
  };
}

/** Which machines are in another state than when last seen. */
export class StateChanges {
  readonly #states = new Map<string, PeerState>();

  of(peers: readonly PeerView[]): readonly PeerView[] {
    return peers.filter(({ id, state }) => {
      const before = this.#states.get(id);
      this.#states.set(id, state);
      return state !== "self" && state !== before;
    });
  }
}

function changeWords(peer: PeerView): string {
  const remark = remarkWords(peer);
  return `${peerWords(peer)} is ${peer.state}${remark === "" ? "" : `: ${remark}`}`;
}
