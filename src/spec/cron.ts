// Cron schedules of `on.cron`: five fields and an optional IANA time zone. It says what is wrong, and schedules nothing.

import { nearest } from "../base/text.ts";

interface Field {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  readonly names: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: readonly Field[] = [
  { name: "minute", least: 0, most: 59, names: [] },
  { name: "hour", least: 0, most: 23, names: [] },
  { name: "day of month", least: 1, most: 31, names: [] },
  { name: "month", least: 1, most: 12, names: MONTHS },
  { name: "day of week", least: 0, most: 7, names: DAYS },
];

/** What is wrong with a schedule, and what to do; null when nothing is. */
export function cronFault(schedule: string): { readonly message: string; readonly advice: string } | null {
  const advice =
    "Fields are: minute, hour, day of month, month, day of week; then, if wanted, a time zone such as America/New_York.";
  if (/^@(yearly|annually|monthly|weekly|daily|hourly)$/.test(schedule.trim())) return null;
  const parts = schedule.trim().split(/\s+/);
  if (parts.length < FIELDS.length || parts.length > FIELDS.length + 1) {
    return {
      message: `The schedule has ${parts.length === 1 && parts[0] === "" ? 0 : parts.length} fields, five are wanted`,
      advice,
    };
  }
  for (const [index, field] of FIELDS.entries()) {
    const part = parts[index] ?? "";
    if (!isField(part.toLowerCase(), field)) return { message: `${JSON.stringify(part)} is no ${field.name}`, advice };
  }
  const zone = parts[FIELDS.length];
  return zone === undefined ? null : zoneFault(zone);
}

function isField(part: string, field: Field): boolean {
  return part.split(",").every((item) => {
    const [range = "", step, ...more] = item.split("/");
    if (more.length > 0 || (step !== undefined && !/^[1-9]\d{0,2}$/.test(step))) return false;
    if (range === "*" || (range === "?" && field.name.startsWith("day"))) return true;
    if (field.name === "day of month" && range === "l") return true;
    if (field.name === "day of week" && /^[0-7]l$|^[0-7]#[1-5]$/.test(range)) return true;
    const ends = range.split("-").map((end) => amountOf(end, field));
    const [low, high] = ends;
    if (ends.length > 2 || low === undefined || low === null || high === null) return false;
    return high === undefined || low <= high || (field.name === "day of week" && high === 0);
  });
}

function amountOf(end: string, field: Field): number | null {
  const named = field.names.indexOf(end);
  if (named !== -1) return named + (field.least === 1 ? 1 : 0);
  if (!/^\d{1,2}$/.test(end)) return null;
  const amount = Number(end);
  return amount >= field.least && amount <= field.most ? amount : null;
}

function zoneFault(zone: string): { readonly message: string; readonly advice: string } | null {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return null;
  } catch {
    const meant = nearest(zone, Intl.supportedValuesOf("timeZone"));
    return {
      message: `${JSON.stringify(zone)} is no time zone`,
      advice: meant === null ? "Use an IANA name such as Europe/Berlin." : `Did you mean ${meant}?`,
    };
  }
}
