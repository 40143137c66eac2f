// The functions that expressions call: names, how many arguments, what they give. Pure; a time is always an argument or
// comes from the scope.

import type { Scope, Value } from "./value.ts";
import { textOf, areEqual } from "./value.ts";

interface FunctionRow {
  readonly least: number;
  readonly most: number;
  /** How a call looks, for messages. */
  readonly shape: string;
  /** Gives the result, or a text that says why there is none. */
  readonly apply: (given: readonly Value[], scope: Scope) => { readonly value: Value } | { readonly fault: string };
}

const value = (result: Value): { readonly value: Value } => ({ value: result });

export const FUNCTIONS: Readonly<Record<string, FunctionRow>> = {
  "starts-with": {
    least: 2,
    most: 2,
    shape: "starts-with(text, prefix)",
    apply: ([text = null, prefix = null]) => value(textOf(text).startsWith(textOf(prefix))),
  },
  "ends-with": {
    least: 2,
    most: 2,
    shape: "ends-with(text, suffix)",
    apply: ([text = null, suffix = null]) => value(textOf(text).endsWith(textOf(suffix))),
  },
  contains: {
    least: 2,
    most: 2,
    shape: "contains(text or list, wanted)",
    apply: ([within = null, wanted = null]) => {
      if (Array.isArray(within)) return value(within.some((item: Value) => areEqual(item, wanted)));
      if (within !== null && typeof within === "object") return value(Object.hasOwn(within, textOf(wanted)));
      return value(textOf(within).includes(textOf(wanted)));
    },
  },
  date: {
    least: 0,
    most: 3,
    shape: "date(format, time)",
    apply: ([format = null, time], scope) => formatDate(format, time, scope),
  },
  strftime: {
    least: 0,
    most: 3,
    shape: "strftime(format, time)",
    apply: ([format = null, time], scope) => formatDate(format, time, scope),
  },
};

/** Formats a time (ISO 8601 text, or seconds since 1970) by strftime's letters, in UTC; without a time, the run's start. */
function formatDate(
  format: Value,
  time: Value | undefined,
  scope: Scope,
): { readonly value: Value } | { readonly fault: string } {
  const given = time === undefined ? startOfRun(scope) : time;
  const ms = typeof given === "number" ? given * 1000 : typeof given === "string" ? Date.parse(given) : Number.NaN;
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return { fault: "it is given no time that can be read" };
  const iso = new Date(ms).toISOString();
  const date = new Date(ms);
  return value(textOf(format).replace(/%([A-Za-z%])/g, (whole, letter: string) => field(letter, date, iso) ?? whole));
}

function startOfRun(scope: Scope): Value {
  const run = scope["run"];
  if (run === null || run === undefined || typeof run !== "object" || Array.isArray(run)) return null;
  return (run as Readonly<Record<string, Value>>)["started-at"] ?? null;
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

function field(letter: string, date: Date, iso: string): string | null {
  const two = (amount: number): string => String(amount).padStart(2, "0");
  switch (letter) {
    case "Y":
      return String(date.getUTCFullYear());
    case "y":
      return two(date.getUTCFullYear() % 100);
    case "m":
      return two(date.getUTCMonth() + 1);
    case "d":
      return two(date.getUTCDate());
    case "H":
      return two(date.getUTCHours());
    case "M":
      return two(date.getUTCMinutes());
    case "S":
      return two(date.getUTCSeconds());
    case "j":
      return String(Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000) + 1).padStart(
        3,
        "0",
      );
    case "A":
      return DAYS[date.getUTCDay()] ?? "";
    case "a":
      return (DAYS[date.getUTCDay()] ?? "").slice(0, 3);
    case "B":
      return MONTHS[date.getUTCMonth()] ?? "";
    case "b":
      return (MONTHS[date.getUTCMonth()] ?? "").slice(0, 3);
    case "u":
      return String(date.getUTCDay() || 7);
    case "w":
      return String(date.getUTCDay());
    case "s":
      return String(Math.floor(date.getTime() / 1000));
    case "F":
      return iso.slice(0, -14);
    case "T":
      return iso.slice(-13, -5);
    case "Z":
      return "UTC";
    case "z":
      return "+0000";
    case "%":
      return "%";
    default:
      return null;
  }
}
