import { expect, test } from "bun:test";
import { digestOf } from "../../../src/base/digest.ts";
import type { PeerId } from "../../../src/base/ids.ts";
import { CONTENT, PRESENCE } from "../../../src/mesh/content-messages.ts";
import { Holders } from "../../../src/mesh/io/holders.ts";
import { MeshHub } from "../../fake/mesh-hub.ts";

const REF = { kind: "blob", digest: digestOf("content") } as const;

/** An answer to the question where one blob is. */
function located(presence: (typeof PRESENCE)[number]): unknown {
  return { states: Uint8Array.of(PRESENCE.indexOf(presence)), sizes: [0] };
}

test("Holders.search() tells of each machine as it answers, whatever the others do", async () => {
  const hub = new MeshHub();
  const [here, whole, none, slow] = ["here", "whole", "none", "slow"].map((name) => hub.add(name));
  if (!here || !whole || !none || !slow) throw new Error("The hub has no machines");
  whole.onCall(CONTENT.locate, () => located("whole"));
  none.onCall(CONTENT.locate, () => located("none"));
  const answer = Promise.withResolvers<unknown>();
  slow.onCall(CONTENT.locate, () => answer.promise);
  const found: PeerId[] = [];
  const first = Promise.withResolvers<void>();
  const search = new Holders(here).search(REF, (peer) => {
    found.push(peer);
    first.resolve();
  });
  await first.promise;
  expect(found).toEqual([whole.self]);
  answer.resolve(located("part"));
  await search;
  expect(found).toEqual([whole.self, slow.self]);
});
