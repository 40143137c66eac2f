// The regular expressions of `=~` and `!~`, matched in time linear in the text (Thompson's simulation), so that no pattern
// can hang a run. Backreferences and lookaround, which have no such algorithm, are refused.

export interface Pattern {
  readonly states: readonly State[];
  readonly start: number;
}

type State =
  | { readonly kind: "class"; readonly accepts: (code: number) => boolean; next: number }
  | { readonly kind: "split"; next: number; other: number }
  | { readonly kind: "assert"; readonly holds: (text: string, at: number) => boolean; next: number }
  | { readonly kind: "match" };

/** Why a pattern cannot be used: a fault in it, or a feature that is refused. */
export class PatternFault extends Error {}

const MOST_STATES = 1_000;
const MOST_PATTERN = 1_000;
/** Longest text that is matched, in UTF-16 code units. */
export const MOST_SUBJECT = 65_536;

/** Compiles a pattern: literals, `.`, classes, `\d\w\s\b`, `^ $`, groups, `|`, `* + ? {m,n}`. Throws `PatternFault`. */
export function compilePattern(source: string): Pattern {
  if (source.length > MOST_PATTERN) throw new PatternFault(`it is longer than ${MOST_PATTERN} characters`);
  return new Compiler(source).compile();
}

/** True when the pattern matches somewhere in the text. */
export function matchesPattern(pattern: Pattern, text: string): boolean {
  const { states } = pattern;
  let current: number[] = [];
  const marked = new Uint32Array(states.length);
  for (let at = 0; at <= text.length; at++) {
    const generation = at + 1;
    const live: number[] = [];
    const stack = [pattern.start, ...current];
    for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
      if (marked[id] === generation) continue;
      marked[id] = generation;
      const state = states[id];
      if (state?.kind === "match") return true;
      if (state?.kind === "split") stack.push(state.next, state.other);
      else if (state?.kind === "assert") {
        if (state.holds(text, at)) stack.push(state.next);
      } else live.push(id);
    }
    const code = at < text.length ? text.charCodeAt(at) : -1;
    current = [];
    for (const id of live) {
      const state = states[id];
      if (code !== -1 && state?.kind === "class" && state.accepts(code)) current.push(state.next);
    }
  }
  return false;
}

/** A part of the machine: where it starts, and the loose ends to be tied to what follows. */
interface Fragment {
  readonly start: number;
  readonly ends: readonly ((next: number) => void)[];
}

class Compiler {
  readonly #source: string;
  readonly #states: State[] = [];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  compile(): Pattern {
    const whole = this.#alternatives();
    if (this.#at < this.#source.length) throw new PatternFault("a ) closes no group");
    const match = this.#add({ kind: "match" });
    for (const end of whole.ends) end(match);
    return { states: this.#states, start: whole.start };
  }

  #alternatives(): Fragment {
    if (++this.#depth > 50) throw new PatternFault("its groups are nested more than 50 deep");
    let left = this.#sequence();
    while (this.#take("|")) {
      const right = this.#sequence();
      const start = this.#add({ kind: "split", next: left.start, other: right.start });
      left = { start, ends: [...left.ends, ...right.ends] };
    }
    this.#depth--;
    return left;
  }

  #sequence(): Fragment {
    let whole = this.#empty();
    while (this.#at < this.#source.length && this.#source[this.#at] !== "|" && this.#source[this.#at] !== ")") {
      const piece = this.#repeated();
      for (const end of whole.ends) end(piece.start);
      whole = { start: whole.start, ends: piece.ends };
    }
    return whole;
  }

  #repeated(): Fragment {
    const from = this.#at;
    const atom = this.#atom();
    const to = this.#at;
    const bounds = this.#quantifier();
    if (!bounds) return atom;
    this.#take("?");
    if (this.#peekQuantifier()) throw new PatternFault("a quantifier follows a quantifier");
    const after = this.#at;
    const copy = (): Fragment => {
      this.#at = from;
      const made = this.#atom();
      if (this.#at !== to) throw new Error("Bug: an atom was read differently twice");
      return made;
    };
    const repeated = this.#repeat(atom, copy, bounds);
    this.#at = after;
    return repeated;
  }

  #repeat(
    first: Fragment,
    copy: () => Fragment,
    { least, most }: { readonly least: number; readonly most: number },
  ): Fragment {
    let whole = this.#empty();
    let unused: Fragment | null = first;
    const next = (): Fragment => {
      const made = unused ?? copy();
      unused = null;
      return made;
    };
    const append = (piece: Fragment) => {
      for (const end of whole.ends) end(piece.start);
      whole = { start: whole.start, ends: piece.ends };
    };
    for (let count = 0; count < least; count++) append(next());
    if (most === Number.POSITIVE_INFINITY) {
      const piece = next();
      const loop = this.#add({ kind: "split", next: piece.start, other: -1 });
      for (const end of piece.ends) end(loop);
      append({ start: loop, ends: [this.#tie(loop, "other")] });
      return whole;
    }
    const exits: ((next: number) => void)[] = [];
    for (let count = least; count < most; count++) {
      const piece = next();
      const choice = this.#add({ kind: "split", next: piece.start, other: -1 });
      exits.push(this.#tie(choice, "other"));
      append({ start: choice, ends: piece.ends });
    }
    return { start: whole.start, ends: [...whole.ends, ...exits] };
  }

  #quantifier(): { readonly least: number; readonly most: number } | null {
    const most = Number.POSITIVE_INFINITY;
    if (this.#take("*")) return { least: 0, most };
    if (this.#take("+")) return { least: 1, most };
    if (this.#take("?")) return { least: 0, most: 1 };
    const braces = /\{(\d+)(,(\d*))?\}/y;
    braces.lastIndex = this.#at;
    const found = braces.exec(this.#source);
    if (!found) return null;
    this.#at = braces.lastIndex;
    const least = Number(found[1]);
    const upper = found[2] === undefined ? least : found[3] === "" ? most : Number(found[3]);
    if (upper < least) throw new PatternFault("a {m,n} has m above n");
    return { least, most: upper };
  }

  #peekQuantifier(): boolean {
    return (
      /[*+?]|\{\d+(,\d*)?\}/y.test(this.#source.slice(this.#at, this.#at + 1)) ||
      /^\{\d+(,\d*)?\}/.test(this.#source.slice(this.#at, this.#at + 24))
    );
  }

  #atom(): Fragment {
    const char = this.#source[this.#at] ?? "";
    this.#at++;
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return this.#class(this.#bracket());
      case ".":
        return this.#class((code) => code !== 10 && code !== 13 && code !== 0x2028 && code !== 0x2029);
      case "^":
        return this.#assertion((_, at) => at === 0);
      case "$":
        return this.#assertion((text, at) => at === text.length);
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw new PatternFault(`nothing stands before the ${char}`);
      default:
        return this.#class(exactly(char.charCodeAt(0)));
    }
  }

  #group(): Fragment {
    if (this.#take("?")) {
      const named = /<[A-Za-z_]\w*>/y;
      named.lastIndex = this.#at;
      if (named.test(this.#source)) this.#at = named.lastIndex;
      else if (!this.#take(":"))
        throw new PatternFault("it looks around with (?=, (?!, (?<= or (?<!, which is not supported");
    }
    const inner = this.#alternatives();
    if (!this.#take(")")) throw new PatternFault("a ( is never closed");
    return inner;
  }

  #escape(): Fragment {
    const char = this.#source[this.#at] ?? "";
    if (char === "b" || char === "B") {
      this.#at++;
      const wanted = char === "b";
      return this.#assertion((text, at) => isWordEdge(text, at) === wanted);
    }
    if (/[1-9k]/.test(char)) throw new PatternFault("it refers back to a group, which is not supported");
    return this.#class(this.#escapedClass());
  }

  #escapedClass(): (code: number) => boolean {
    const char = this.#source[this.#at] ?? "";
    this.#at++;
    const known = SHORTHANDS[char];
    if (known) return known;
    const control = CONTROLS[char];
    if (control !== undefined) return exactly(control);
    const hex = char === "x" ? /[0-9a-fA-F]{2}/y : char === "u" ? /[0-9a-fA-F]{4}/y : null;
    if (hex) {
      hex.lastIndex = this.#at;
      const digits = hex.exec(this.#source)?.[0];
      if (digits === undefined) throw new PatternFault(`\\${char} wants hexadecimal digits`);
      this.#at = hex.lastIndex;
      return exactly(Number.parseInt(digits, 16));
    }
    if (char === "") throw new PatternFault("it ends with a backslash");
    if (/[A-Za-z0-9]/.test(char)) throw new PatternFault(`\\${char} is not supported`);
    return exactly(char.charCodeAt(0));
  }

  #bracket(): (code: number) => boolean {
    const negated = this.#take("^");
    const parts: ((code: number) => boolean)[] = [];
    for (;;) {
      if (this.#at >= this.#source.length) throw new PatternFault("a [ is never closed");
      if (this.#take("]")) break;
      const low = this.#bracketItem();
      if (typeof low === "number" && this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]") {
        this.#at++;
        const high = this.#bracketItem();
        if (typeof high !== "number" || high < low) throw new PatternFault("a range in [ ] is out of order");
        parts.push((code) => code >= low && code <= high);
      } else {
        parts.push(typeof low === "number" ? exactly(low) : low);
      }
    }
    return (code) => parts.some((accepts) => accepts(code)) !== negated;
  }

  #bracketItem(): number | ((code: number) => boolean) {
    const char = this.#source[this.#at] ?? "";
    this.#at++;
    if (char !== "\\") return char === "" ? -1 : char.charCodeAt(0);
    const next = this.#source[this.#at] ?? "";
    if (next === "b") {
      this.#at++;
      return 8;
    }
    if (/[^A-Za-z0-9]/.test(next)) {
      this.#at++;
      return next.charCodeAt(0);
    }
    if (CONTROLS[next] !== undefined) {
      this.#at++;
      return CONTROLS[next];
    }
    return this.#escapedClass();
  }

  #class(accepts: (code: number) => boolean): Fragment {
    const start = this.#add({ kind: "class", accepts, next: -1 });
    return { start, ends: [this.#tie(start, "next")] };
  }

  #assertion(holds: (text: string, at: number) => boolean): Fragment {
    const start = this.#add({ kind: "assert", holds, next: -1 });
    return { start, ends: [this.#tie(start, "next")] };
  }

  #empty(): Fragment {
    return this.#assertion(() => true);
  }

  #tie(id: number, end: "next" | "other"): (next: number) => void {
    return (next) => {
      const state = this.#states[id];
      if (!state || state.kind === "match") return;
      if (end === "next") state.next = next;
      else if (state.kind === "split") state.other = next;
    };
  }

  #add(state: State): number {
    if (this.#states.length >= MOST_STATES) throw new PatternFault("it is too large");
    return this.#states.push(state) - 1;
  }

  #take(char: string): boolean {
    if (this.#source[this.#at] !== char) return false;
    this.#at++;
    return true;
  }
}

function exactly(wanted: number): (code: number) => boolean {
  return (code) => code === wanted;
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;
const isWord = (code: number): boolean =>
  isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
const isSpace = (code: number): boolean => code !== -1 && /\s/.test(String.fromCharCode(code));

const SHORTHANDS: Readonly<Record<string, (code: number) => boolean>> = {
  d: isDigit,
  D: (code) => !isDigit(code),
  w: isWord,
  W: (code) => !isWord(code),
  s: isSpace,
  S: (code) => !isSpace(code),
};

const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, 0: 0 };

function isWordEdge(text: string, at: number): boolean {
  const before = at > 0 && isWord(text.charCodeAt(at - 1));
  const after = at < text.length && isWord(text.charCodeAt(at));
  return before !== after;
}
