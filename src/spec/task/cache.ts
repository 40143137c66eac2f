// `cache`, `timeout`, `retry` and the other small settings of how a task runs.

import { LIMITS } from "../../base/limits.ts";
import { formatDuration, parseDuration } from "../../base/units.ts";
import type { CacheSpec, Retry, Template } from "../definition.ts";
import type { Expression } from "../expression/syntax.ts";
import {
  fault,
  isEmptyEntry,
  missing,
  readBoolean,
  readExpression,
  readFields,
  type Reading,
  readInteger,
  readTemplate,
  startsWithExpression,
  within,
} from "../reading.ts";
import type { Entry, Node } from "../yaml.ts";

export const CACHED: CacheSpec = { enabled: true, ttlMs: null, ttl: null };

/** Reads `cache`: true, false, an expression, or `{enabled, ttl}`. */
export function readCache(
  reading: Reading,
  entry: Entry | undefined,
  { ttl: takesTtl }: { readonly ttl: boolean },
): CacheSpec {
  if (!entry || isEmptyEntry(reading, entry)) return CACHED;
  if (entry.value.kind !== "map") return { ...CACHED, enabled: readSwitch(reading, entry.value, "`cache`") };
  const fields = readFields(reading, entry.value, takesTtl ? ["enabled", "ttl"] : ["enabled"], "`cache`");
  const enabled = fields.get("enabled");
  const ttl = fields.get("ttl");
  if (!enabled && !ttl && takesTtl) missing(reading, entry.value, "enabled", "`cache`");
  const given = ttl && !isEmptyEntry(reading, ttl) ? readTemplate(reading, ttl.value, "`ttl`") : null;
  return {
    enabled: enabled ? readSwitch(reading, enabled.value, "`enabled`") : true,
    ttlMs: typeof given === "string" && ttl ? readDuration(reading, ttl.value, given, "ttl") : null,
    ttl: typeof given === "string" ? null : given,
  };
}

function readSwitch(reading: Reading, node: Node, what: string): boolean | Expression {
  if (startsWithExpression(node)) return readExpression(reading, node, what) ?? true;
  return readBoolean(reading, node, what) ?? true;
}

/** Milliseconds of a duration above zero; null, and a fault, when it is none. */
function readDuration(reading: Reading, node: Node, text: string, what: string): number | null {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  fault(
    reading,
    "duration",
    node,
    `Cannot read ${JSON.stringify(text.slice(0, 40))} as \`${what}\``,
    'Give an amount with its unit: "30m", "2 hrs", "1 day".',
  );
  return null;
}

/** Reads `timeout`, or the old `timeout-minutes`. */
export function readTimeout(reading: Reading, timeout: Entry | undefined, minutes: Entry | undefined): Template | null {
  if (timeout && minutes) {
    fault(reading, "mutually-exclusive", minutes.keySpan, 'Give "timeout" or the old "timeout-minutes", not both');
  }
  if (minutes) {
    const most = LIMITS.taskTimeoutMaxMs / 60_000;
    const count = readInteger(reading, minutes.value, "`timeout-minutes`", { least: 1, most });
    fault(reading, "deprecated", minutes.keySpan, '"timeout-minutes" is old', `Use \`timeout: ${count ?? 30}m\`.`);
    if (!timeout) return count === null ? null : `${count}m`;
  }
  if (!timeout || isEmptyEntry(reading, timeout)) return null;
  const template = readTemplate(reading, timeout.value, "`timeout`");
  if (typeof template !== "string") return template;
  const ms = readDuration(reading, timeout.value, template, "timeout");
  if (ms !== null && ms > LIMITS.taskTimeoutMaxMs) {
    fault(
      reading,
      "duration",
      timeout.value,
      `A timeout of ${template} is longer than the longest allowed, ${formatDuration(LIMITS.taskTimeoutMaxMs)}`,
    );
  }
  return template;
}

/** Checks `health-timeout`, which has no meaning here: nothing waits for an agent to report. */
export function checkHealthTimeout(reading: Reading, entry: Entry | undefined): void {
  if (!entry || isEmptyEntry(reading, entry)) return;
  const template = readTemplate(reading, entry.value, "`health-timeout`");
  if (typeof template === "string" && template !== "auto")
    readDuration(reading, entry.value, template, "health-timeout");
}

/** Reads `retry`: a number, an expression, or `{count, if, action}`. */
export function readRetry(reading: Reading, entry: Entry | undefined): Retry | null {
  if (!entry || isEmptyEntry(reading, entry)) return null;
  if (entry.value.kind !== "map") {
    const count = readCount(reading, entry.value);
    return count === null ? null : { count, if: null, action: null };
  }
  const fields = readFields(reading, entry.value, ["action", "count", "if"], "`retry`");
  const [count, condition, action] = [fields.get("count"), fields.get("if"), fields.get("action")];
  if (!count) missing(reading, entry.value, "count", "`retry`");
  return within(reading, "retry", () => ({
    count: (count && readCount(reading, count.value)) ?? "0",
    if: condition ? readExpression(reading, condition.value, "`retry.if`") : null,
    action: action && !isEmptyEntry(reading, action) ? readTemplate(reading, action.value, "`retry.action`") : null,
  }));
}

function readCount(reading: Reading, node: Node): Template | null {
  if (startsWithExpression(node)) return readTemplate(reading, node, "`retry`");
  const count = readInteger(reading, node, "`retry`", { least: 0, most: 100 });
  return count === null ? null : String(count);
}
