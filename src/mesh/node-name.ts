// What a machine may be called in its mesh. It never knows which names are taken: the roster does.

/** Longest name, a DNS label's length. */
const MAX_CHARS = 63;
/** Room for what makes a taken name another one. */
const WISH_CHARS = 48;
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** What `distinctName` appends; nobody may ask for such a name, or it could be taken already. */
const DISTINCT = /-[0-9a-f]{8}$/;

/** Whether a machine may have this name: a DNS label in lower case, 1 to 63 of a-z, 0-9 and inner hyphens, not ending like a machine id. */
export function isNodeName(text: string): boolean {
  return text.length <= MAX_CHARS && NAME.test(text) && !DISTINCT.test(text);
}

/** A name that a machine may have, near to the text: "Anna's Laptop.local" gives "anna-s-laptop". */
export function nodeNameFrom(text: string): string {
  const [first = ""] = text.toLowerCase().split(".");
  const name = first
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, WISH_CHARS)
    .replace(/^-+|-+$/g, "");
  return isNodeName(name) ? name : "node";
}

/** The wished name, or, when it is taken, the first that is free of `name-2`, `name-3`, ... */
export function freeNodeName(wish: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(wish)) return wish;
  const stem = wish.slice(0, WISH_CHARS).replace(/-+$/, "");
  for (let number = 2; ; number++) {
    const name = `${stem}-${number}`;
    if (isNodeName(name) && !isTaken(name)) return name;
  }
}

/** What a machine is called whose name another one has with better right. `shortId` are 8 hex digits. */
export function distinctName(name: string, shortId: string): string {
  return `${name.slice(0, MAX_CHARS - 9)}-${shortId}`;
}
