// `background-processes`: services beside a task's script, their ready checks and the order in which they start.

import { nearest } from "../../base/text.ts";
import type { BackgroundProcess, Template } from "../definition.ts";
import {
  fault,
  isEmptyEntry,
  itemsOf,
  itemsOrOne,
  missing,
  placeOf,
  readFields,
  type Reading,
  readInteger,
} from "../reading.ts";
import type { Span } from "../source.ts";
import type { Entry } from "../yaml.ts";
import { readKey } from "./keys.ts";
import { readScript } from "./script.ts";

const KEYS = ["after", "key", "ready-check", "run", "terminate-grace-period-seconds"];

export function readBackgroundProcesses(reading: Reading, entry: Entry | undefined): readonly BackgroundProcess[] {
  if (!entry) return [];
  const seen = new Map<string, BackgroundProcess>();
  const waits: { readonly of: string; readonly key: string; readonly span: Span }[] = [];
  for (const item of itemsOf(reading, entry.value, "`background-processes`")) {
    const fields = readFields(reading, item, KEYS, "a background process");
    const [keyEntry, run, after] = [fields.get("key"), fields.get("run"), fields.get("after")];
    if (!keyEntry) missing(reading, item, "key", "A background process");
    if (!run) missing(reading, item, "run", "A background process");
    const key = keyEntry ? readKey(reading, keyEntry.value, "a background process's key") : null;
    const script = run ? readScript(reading, run.value, "`run`") : null;
    if (key === null || script === null || !keyEntry) continue;
    if (seen.has(key))
      fault(
        reading,
        "background-process",
        keyEntry.value,
        `Two background processes have the key ${JSON.stringify(key)}`,
      );
    const named = after && !isEmptyEntry(reading, after) ? itemsOrOne(reading, after.value) : [];
    const before = named.flatMap((node) => {
      const other = readKey(reading, node, "a background process's key");
      if (other !== null) waits.push({ of: key, key: other, span: node });
      return other ?? [];
    });
    const grace = fields.get("terminate-grace-period-seconds");
    seen.set(key, {
      key,
      run: script,
      readyCheck: readReadyCheck(reading, fields.get("ready-check")),
      after: before,
      terminateGraceSeconds:
        (grace && readInteger(reading, grace.value, "`terminate-grace-period-seconds`", { least: 0 })) ?? 10,
      at: placeOf(reading, keyEntry.value),
    });
  }
  checkOrder(reading, seen, waits);
  return [...seen.values()];
}

function readReadyCheck(
  reading: Reading,
  entry: Entry | undefined,
): { readonly run: Template; readonly timeoutSeconds: number } | null {
  if (!entry || isEmptyEntry(reading, entry)) return null;
  const timeoutSeconds = 60;
  if (entry.value.kind !== "map") return check(readScript(reading, entry.value, "`ready-check`"), timeoutSeconds);
  const fields = readFields(reading, entry.value, ["run", "timeout-seconds"], "`ready-check`");
  const [run, timeout] = [fields.get("run"), fields.get("timeout-seconds")];
  if (!run) missing(reading, entry.value, "run", "`ready-check`");
  const seconds = timeout ? readInteger(reading, timeout.value, "`timeout-seconds`", { least: 1 }) : null;
  return check(run ? readScript(reading, run.value, "`run`") : null, seconds ?? timeoutSeconds);
}

function check(
  run: Template | null,
  timeoutSeconds: number,
): { readonly run: Template; readonly timeoutSeconds: number } | null {
  return run === null ? null : { run, timeoutSeconds };
}

function checkOrder(
  reading: Reading,
  processes: ReadonlyMap<string, BackgroundProcess>,
  waits: readonly { readonly of: string; readonly key: string; readonly span: Span }[],
): void {
  for (const { of, key, span } of waits) {
    if (!processes.has(key)) {
      const meant = nearest(key, processes.keys());
      fault(
        reading,
        "background-process",
        span,
        `There is no background process ${JSON.stringify(key)}`,
        meant === null ? "" : `Did you mean ${JSON.stringify(meant)}?`,
      );
    } else if (waitsFor(processes, key, of)) {
      fault(
        reading,
        "background-process",
        span,
        `The background processes ${JSON.stringify(of)} and ${JSON.stringify(key)} wait for one another`,
      );
    }
  }
}

/** True when `from` is `wanted`, or starts after it. */
function waitsFor(processes: ReadonlyMap<string, BackgroundProcess>, from: string, wanted: string): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    if (key === wanted) return true;
    if (seen.has(key)) continue;
    seen.add(key);
    for (const before of processes.get(key)?.after ?? []) open.push(before);
  }
  return false;
}
