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

test("KeyClaims of a machine that has just started takes no key before it has found the others", () => {
  const { hub, ann } = five();
  const late = peerNamed("late");
  hub.add(late);
  hub.want(late, "k", "r2");
  hub.tell(late, { kind: "members", alive: [late], settled: false });
  hub.wait(10_000);
  expect(hub.news(late)).toEqual([]);
  hub.want(ann, "k", "r1");
  hub.settle();
  hub.meet();
  hub.settle();
  expect([hub.news(ann), hub.news(late)]).toEqual([["granted k r1"], ["busy k r2 by r1"]]);
});

test("KeyClaims knows who has a key when its first home dies, before anything is repeated", () => {
  for (const dies of [0, 1]) {
    const { hub, ann, bob } = five();
    hub.want(ann, "k", "r1");
    hub.settle();
    hub.machines.delete(hub.homes("k")[dies] as PeerId);
    // The holder is the last to notice.
    hub.tell(bob, { kind: "members", alive: hub.ids, settled: true });
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
  hub.tell(hub.homes("k")[0] as PeerId, { kind: "members", alive: hub.ids, settled: true });
  hub.tell(bob, { kind: "members", alive: hub.ids, settled: true });
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

test("KeyClaims of a worker whose attempt is over does not take the key from its run", () => {
  const { hub, ann, bob } = five();
  hub.want(ann, "k", "r1");
  hub.settle();
  const worker = hub.ids.find((id) => id !== ann && id !== bob && hub.homes("k")[0] !== id) as PeerId;
  hub.tell(worker, { kind: "hold", key: "k", run: "r1" });
  // Its claim is answered when the attempt is over already.
  hub.tell(worker, { kind: "let-go", key: "k", run: "r1" });
  hub.settle();
  hub.want(bob, "k", "r2");
  hub.settle();
  expect(hub.news(bob)).toEqual(["busy k r2 by r1"]);
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
    const contest = new Contest(seed);
    for (let step = 0; step < 400; step++) contest.step();
    expect({ seed, faults: contest.faults }).toEqual({ seed, faults: [] });
  }
});

/** Two machines whose runs want the same three keys again and again, among others that come and go. */
class Contest {
  readonly faults: string[] = [];
  readonly #random: SeededRandom;
  readonly #hub: ClaimHub;
  readonly #runners: readonly PeerId[];
  /** Which run has a key. */
  readonly #has = new Map<string, string>();
  #added = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#hub = new ClaimHub(3 + this.#random.below(5));
    this.#runners = this.#hub.ids.slice(0, 2);
  }

  step(): void {
    const chance = this.#random.next();
    const at = this.#random.pick(this.#runners);
    const key = this.#random.pick(["a", "b", "c"]);
    const run = `${key}${this.#runners.indexOf(at)}`;
    if (chance < 0.2) this.#hub.want(at, key, run);
    else if (chance < 0.3 && this.#has.get(key) === run) this.#giveBack(at, key, run);
    else if (chance < 0.31) this.#change(() => this.#hub.want(at, key, run));
    else if (this.#hub.letters.length > 0) this.#hub.deliver(this.#random.below(this.#hub.letters.length));
    for (const runner of this.#runners) this.#hub.news(runner).forEach((news) => this.#note(news));
  }

  #giveBack(at: PeerId, key: string, run: string): void {
    this.#has.delete(key);
    this.#hub.tell(at, { kind: "give-back", key, run, at: [] });
  }

  /** One machine goes or comes; who notices first is a matter of chance. */
  #change(meanwhile: () => void): void {
    const hub = this.#hub;
    hub.settle();
    const other = this.#random.pick(hub.ids);
    if (!this.#runners.includes(other) && hub.ids.length > 3) hub.machines.delete(other);
    else hub.add(peerNamed(`later${this.#added++}`));
    for (const id of hub.ids.toSorted(() => this.#random.next() - 0.5)) {
      hub.tell(id, { kind: "members", alive: hub.ids, settled: true });
      if (this.#random.chance(0.5)) meanwhile();
    }
    hub.settle();
  }

  #note(news: string): void {
    const [kind = "", key = "", run = ""] = news.split(" ");
    if (kind !== "granted" || this.#has.get(key) === run) return;
    if (this.#has.has(key)) this.faults.push(`${news} while ${this.#has.get(key)} has it`);
    this.#has.set(key, run);
  }
}
