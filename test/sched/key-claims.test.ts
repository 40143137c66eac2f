import { expect, test } from "bun:test";
import type { PeerId } from "../../src/base/ids.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { ClaimHub, peerNamed } from "../fake/claim-hub.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

/** Five machines, and two that want the key `k` and are no homes of it. */
function five(): { readonly hub: ClaimHub; readonly ann: PeerId; readonly bob: PeerId } {
  const hub = new ClaimHub(5);
  const [ann = hub.ids[0] as PeerId, bob = ann] = hub.others("k");
  return { hub, ann, bob };
}

test("KeyClaims grants a key to one run, tells others who has it, and when it is free", () => {
  const { hub, ann, bob } = five();
  hub.want(ann, "k", "r1");
  hub.settle();
  hub.want(bob, "k", "r2");
  hub.settle();
  expect([hub.news(ann), hub.news(bob)]).toEqual([["granted k r1"], ["busy k r2 by r1"]]);
  hub.tell(ann, { kind: "give-back", key: "k", run: "r1", at: [] });
  hub.settle();
  expect(hub.news(bob)).toEqual(["freed k r2"]);
  hub.want(bob, "k", "r2");
  hub.settle();
  expect(hub.news(bob)).toEqual(["granted k r2"]);
});

test("KeyClaims points at a result, and gives the key out anew when the result is not there", () => {
  const { hub, ann, bob } = five();
  hub.want(ann, "k", "r1");
  hub.settle();
  hub.tell(ann, { kind: "give-back", key: "k", run: "r1", at: [ann] });
  hub.settle();
  hub.want(bob, "k", "r2");
  hub.settle();
  hub.want(bob, "k", "r2", true);
  hub.settle();
  expect(hub.news(bob)).toEqual([`result k r2 at ${ann}`, "granted k r2"]);
});

test("KeyClaims of a machine alone grants at once, and sends nothing", () => {
  const hub = new ClaimHub(1);
  const [alone = "" as PeerId] = hub.ids;
  hub.want(alone, "k", "r1");
  hub.want(alone, "k", "r2");
  expect(hub.news(alone)).toEqual(["granted k r1", "busy k r2 by r1"]);
  hub.tell(alone, { kind: "give-back", key: "k", run: "r1", at: [] });
  expect(hub.news(alone)).toEqual(["freed k r2"]);
  expect(hub.letters).toEqual([]);
});

test("KeyClaims knows who has a key when its first home dies, before anything is repeated", () => {
  for (const dies of [0, 1]) {
    const { hub, ann, bob } = five();
    hub.want(ann, "k", "r1");
    hub.settle();
    hub.machines.delete(hub.homes("k")[dies] as PeerId);
    // The holder is the last to notice.
    hub.tell(bob, { kind: "members", alive: hub.ids });
    hub.want(bob, "k", "r2");
    hub.settle();
    expect(hub.news(bob)).toEqual(["busy k r2 by r1"]);
    hub.meet();
    hub.settle();
    for (const home of hub.homes("k")) expect(hub.machines.get(home)?.holderOf("k")).toBe("r1");
  }
});

test("KeyClaims knows who has a key when a machine joins that becomes its home", () => {
  const { hub, ann, bob } = five();
  hub.want(ann, "k", "r1");
  hub.settle();
  const [first] = hub.homes("k");
  for (let at = 100; hub.homes("k")[0] === first; at++) {
    hub.machines.delete(peerNamed(`m${at - 1}`));
    hub.add(peerNamed(`m${at}`));
  }
  hub.tell(hub.homes("k")[0] as PeerId, { kind: "members", alive: hub.ids });
  hub.tell(bob, { kind: "members", alive: hub.ids });
  hub.want(bob, "k", "r2");
  hub.settle();
  expect(hub.news(bob)).toEqual(["busy k r2 by r1"]);
});

test("KeyClaims frees what its holder does not repeat, and keeps what an attempt elsewhere repeats", () => {
  const { hub, ann, bob } = five();
  hub.want(ann, "k", "r1");
  hub.settle();
  const worker = hub.homes("k")[1] as PeerId;
  hub.tell(worker, { kind: "hold", key: "k", run: "r1" });
  hub.machines.delete(ann);
  hub.wait(LIMITS.claimMs * 2);
  hub.want(bob, "k", "r2");
  hub.settle();
  expect(hub.news(bob)).toEqual(["busy k r2 by r1"]);
  hub.tell(worker, { kind: "let-go", key: "k", run: "r1" });
  hub.wait(LIMITS.claimMs + 1_000);
  hub.news(bob);
  hub.want(bob, "k", "r2");
  hub.settle();
  expect(hub.news(bob)).toEqual(["granted k r2"]);
});

test("KeyClaims is not moved by words that come late or twice", () => {
  const { hub, ann, bob } = five();
  hub.want(ann, "k", "r1");
  const late = [...hub.letters];
  hub.settle();
  hub.tell(ann, { kind: "give-back", key: "k", run: "r1", at: [] });
  const releases = [...hub.letters];
  hub.settle();
  // A claim that was given back does not take the key again.
  hub.letters.push(...late);
  hub.settle();
  hub.want(bob, "k", "r2");
  hub.settle();
  expect(hub.news(bob)).toEqual(["granted k r2"]);
  hub.tell(bob, { kind: "give-back", key: "k", run: "r2", at: [] });
  hub.settle();
  // A release of the first time does not free the second.
  hub.want(ann, "k", "r1");
  hub.settle();
  hub.letters.push(...releases);
  hub.settle();
  hub.want(bob, "k", "r3");
  hub.settle();
  expect(hub.news(bob)).toEqual(["busy k r3 by r1"]);
});

test("KeyClaims does without a home that does not answer", () => {
  const { hub, ann, bob } = five();
  const mute = hub.homes("k")[0] as PeerId;
  hub.machines.delete(mute);
  hub.want(ann, "k", "r1");
  hub.wait(LIMITS.claimAskMs * LIMITS.claimTries);
  expect(hub.news(ann)).toEqual(["granted k r1"]);
  hub.want(bob, "k", "r2");
  hub.wait(LIMITS.claimAskMs * LIMITS.claimTries);
  expect(hub.news(bob)).toEqual(["busy k r2 by r1"]);
});

test("KeyClaims gives a key to one run at a time, in any order of letters, while machines come and go one by one", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new SeededRandom(seed);
    const hub = new ClaimHub(3 + random.below(5));
    const keys = ["a", "b", "c"];
    const has = new Map<string, { readonly run: string; readonly at: PeerId }>();
    const runners = hub.ids.slice(0, 2);
    for (let step = 0; step < 400; step++) {
      const chance = random.next();
      const at = random.pick(runners);
      const key = random.pick(keys);
      const run = `${key}${runners.indexOf(at)}`;
      if (chance < 0.2) hub.want(at, key, run);
      else if (chance < 0.3 && has.get(key)?.run === run) {
        has.delete(key);
        hub.tell(at, { kind: "give-back", key, run, at: [] });
      } else if (chance < 0.31) {
        hub.settle();
        const other = random.pick(hub.ids);
        if (!runners.includes(other) && hub.ids.length > 3) hub.machines.delete(other);
        else hub.add(peerNamed(`s${seed}-${step}`));
        // Who notices first is a matter of chance.
        for (const id of hub.ids.toSorted(() => random.next() - 0.5)) {
          hub.tell(id, { kind: "members", alive: hub.ids });
          if (random.chance(0.5)) hub.want(at, key, run);
        }
        hub.settle();
      } else if (hub.letters.length > 0) hub.deliver(random.below(hub.letters.length));
      for (const id of runners)
        for (const news of hub.news(id)) {
          const [kind = "", wanted = "", by = ""] = news.split(" ");
          if (kind !== "granted" || has.get(wanted)?.run === by) continue;
          expect({ seed, step, news, has: has.get(wanted)?.run }).toEqual({ seed, step, news, has: undefined });
          has.set(wanted, { run: by, at: id });
        }
    }
  }
});
