// One event at a time for a machine whose effects bring up others: those wait until the one before is dealt with.

export class InTurn<Event> {
  readonly #take: (event: Event) => void;
  readonly #waiting: Event[] = [];
  #isTaking = false;

  /** `take` steps the machine and performs what it says. */
  constructor(take: (event: Event) => void) {
    this.#take = take;
  }

  /** Returns whether all events are dealt with; false while an earlier one is, after which this one comes. */
  add(event: Event): boolean {
    this.#waiting.push(event);
    if (this.#isTaking) return false;
    this.#isTaking = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#take(next);
    } finally {
      this.#isTaking = false;
    }
    return true;
  }
}
