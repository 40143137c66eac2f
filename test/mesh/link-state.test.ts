import { expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import type { PeerId } from "../../src/base/ids.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { type LinkConnection, type LinkEffect, LinkState } from "../../src/mesh/link-state.ts";
import type { Lane } from "../../src/mesh/peers.ts";
import { peerNamed } from "../fake/claim-hub.ts";

interface Fake extends LinkConnection {
  readonly name: string;
  isClosed: boolean;
  hello: { readonly instance: string } | null;
  heardAtMs: number;
}

const [FIRST, LAST] = [peerNamed("a"), peerNamed("b")].toSorted() as [PeerId, PeerId];
const GONE = new MeshError("peer.unreachable", "gone");

function fake(name: string, options: { here?: boolean; lane?: Lane; instance?: string } = {}): Fake {
  const { here = true, lane = "control", instance = "1" } = options;
  return { name, peerName: "b", lane, dialledHere: here, hello: { instance }, isClosed: false, heardAtMs: 0 };
}

function said(effects: readonly LinkEffect<Fake>[]): readonly string[] {
  return effects.map((effect) => ("connection" in effect ? `${effect.kind} ${effect.connection.name}` : effect.kind));
}

function opened(state: LinkState<Fake>, connection: Fake): readonly string[] {
  state.add(connection);
  return said(state.ready(connection));
}

function closed(state: LinkState<Fake>, connection: Fake): readonly string[] {
  connection.isClosed = true;
  return said(state.closed(connection, GONE));
}

test("LinkState is linked with the first connection, lost with the last, and then forgotten", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  const one = fake("one");
  expect(opened(state, one)).toEqual(["linked one"]);
  expect(closed(state, one)).toEqual(["lost", "forgotten"]);
});

test("LinkState keeps the connection that the smaller id dialled, at both ends", () => {
  for (const [self, peer] of [
    [FIRST, LAST],
    [LAST, FIRST],
  ] as const) {
    const state = new LinkState<Fake>(self, peer);
    const kept = fake("kept", { here: self === FIRST });
    const other = fake("other", { here: self !== FIRST });
    expect(opened(state, other)).toEqual(["linked other"]);
    expect(opened(state, kept)).toEqual(["finish other"]);
    expect(closed(state, other)).toEqual([]);
    expect(state.control).toBe(kept);
  }
});

test("LinkState takes the newer of two connections that the same end dialled", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  opened(state, fake("old", { here: false }));
  expect(opened(state, fake("new", { here: false }))).toEqual(["abort old"]);
});

test("LinkState lets go of all that it had with an end that connects anew", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  opened(state, fake("old", { here: false }));
  for (const name of ["bulk1", "bulk2"]) opened(state, fake(name, { lane: "bulk" }));
  expect(opened(state, fake("new", { here: false }))).toEqual(["abort old", "abort bulk1", "abort bulk2"]);
});

test("LinkState takes a newer connection for one that was silent, whoever dialled", () => {
  for (const self of [FIRST, LAST]) {
    const state = new LinkState<Fake>(self, self === FIRST ? LAST : FIRST);
    const [old, newer] = [fake("old"), fake("new", { here: false })];
    opened(state, old);
    newer.heardAtMs = LIMITS.suspectMs;
    expect(opened(state, newer)).toEqual(["abort old"]);
    expect(state.control).toBe(newer);
  }
});

test("LinkState loses a process that was started anew, with all its connections, before it links the new one", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  opened(state, fake("old"));
  opened(state, fake("bulk", { lane: "bulk" }));
  expect(opened(state, fake("new", { instance: "2" }))).toEqual(["abort old", "abort bulk", "lost", "linked new"]);
  expect(state.isUp).toBe(true);
});

test("LinkState is not lost while another connection for control is on its way", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  const one = fake("one");
  opened(state, one);
  state.beginDial("control");
  expect(closed(state, one)).toEqual([]);
  expect(state.isUp).toBe(true);
  expect(said(state.endDial("control"))).toEqual(["lost", "forgotten"]);
});

test("LinkState takes bulk connections of the process that is linked, up to the limit", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  expect(opened(state, fake("early", { lane: "bulk" }))).toEqual(["finish early"]);
  opened(state, fake("control"));
  expect(opened(state, fake("stray", { lane: "bulk", instance: "2" }))).toEqual(["finish stray"]);
  for (let at = 0; at < LIMITS.bulkConnections; at++)
    expect(opened(state, fake(`bulk${at}`, { lane: "bulk" }))).toEqual([]);
  expect(opened(state, fake("more", { lane: "bulk" }))).toEqual(["finish more"]);
});

test("LinkState closes bulk connections with an end that begins nothing new", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  const control = fake("control");
  opened(state, control);
  opened(state, fake("bulk", { lane: "bulk" }));
  expect(said(state.finishing(control))).toEqual(["finish bulk"]);
});

test("LinkState that is dropped is lost at once, and linked anew by the dial that is under way", () => {
  const state = new LinkState<Fake>(FIRST, LAST);
  const one = fake("one");
  opened(state, one);
  state.beginDial("control");
  expect(said(state.drop(GONE))).toEqual(["abort one", "lost"]);
  expect(closed(state, one)).toEqual([]);
  expect(opened(state, fake("two"))).toEqual(["linked two"]);
});
