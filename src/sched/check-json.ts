// Checks for data that was JSON on a disk or a wire: each returns what is wrong and where, or null. They change nothing.

/** What is wrong with a value, as "path: expected ...", or null. */
export type Check = (value: unknown, path: string) => string | null;

export const isText: Check = (value, path) => (typeof value === "string" ? null : `${path}: expected text`);

export const isBoolean: Check = (value, path) =>
  typeof value === "boolean" ? null : `${path}: expected true or false`;

/** An integer >= 0. */
export const isCount: Check = (value, path) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? null : `${path}: expected an integer that is not negative`;

export const isNumber: Check = (value, path) => (Number.isFinite(value) ? null : `${path}: expected a number`);

export function nullable(check: Check): Check {
  return (value, path) => (value === null ? null : check(value, path));
}

export function oneOf(allowed: readonly string[]): Check {
  return (value, path) =>
    typeof value === "string" && allowed.includes(value) ? null : `${path}: expected one of ${allowed.join(", ")}`;
}

export function listOf(check: Check, most: number): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path}: expected a list`;
    if (value.length > most) return `${path}: expected at most ${most} entries, found ${value.length}`;
    for (let at = 0; at < value.length; at++) {
      const fault = check(value[at], path);
      if (fault !== null) return `${fault} (entry ${at})`;
    }
    return null;
  };
}

/** An object used as a map from text. */
export function mapOf(check: Check): Check {
  return (value, path) => {
    if (!isObject(value)) return `${path}: expected an object`;
    for (const [key, entry] of Object.entries(value)) {
      const fault = check(entry, `${path}.${key}`);
      if (fault !== null) return fault;
    }
    return null;
  };
}

/** An object with these fields; others may stand beside them. */
export function fields(checks: Readonly<Record<string, Check>>): Check {
  const entries = Object.entries(checks);
  return (value, path) => {
    if (!isObject(value)) return `${path}: expected an object`;
    for (const [key, check] of entries) {
      const fault = check(value[key], `${path}.${key}`);
      if (fault !== null) return fault;
    }
    return null;
  };
}

/** An object whose `kind` says which other fields it has. */
export function kinds(cases: Readonly<Record<string, Check>>): Check {
  const known = new Map(Object.entries(cases));
  return (value, path) => {
    if (!isObject(value)) return `${path}: expected an object`;
    const check = typeof value["kind"] === "string" ? known.get(value["kind"]) : undefined;
    return check === undefined
      ? `${path}.kind: unknown ${JSON.stringify(String(value["kind"]).slice(0, 40))}`
      : check(value, path);
  };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
