// `parallel`: one task as many. The shape is read and checked; nothing is expanded here.

import type { Parallel, Template } from "../definition.ts";
import type { Expression } from "../expression/syntax.ts";
import {
  define,
  entriesOf,
  fault,
  headOf,
  isEmptyEntry,
  itemsOf,
  placeOf,
  readExpression,
  readFields,
  type Reading,
  readInteger,
  readTemplate,
  readTemplates,
  startsWithExpression,
} from "../reading.ts";
import type { Entry, Node } from "../yaml.ts";

const KEYS = ["auto-cancel", "key", "matrix", "tasks-limit", "total", "values"];
const DEFAULT_LIMIT = 16;
const MOST = 256;

/** Reads `parallel`: N, an expression, or a map with one of `total`, `matrix` and `values`. */
export function readParallel(reading: Reading, entry: Entry | undefined): Parallel | null {
  if (!entry || isEmptyEntry(reading, entry)) return null;
  const at = placeOf(reading, entry.keySpan);
  const plain = {
    kind: "total",
    key: null,
    tasksLimit: DEFAULT_LIMIT,
    autoCancel: null,
    total: null,
    matrix: null,
    values: null,
    at,
  } as const;
  if (entry.value.kind !== "map")
    return checkCount(reading, entry, { ...plain, total: readTotal(reading, entry.value) });
  const fields = readFields(reading, entry.value, KEYS, "`parallel`");
  const kinds = (["total", "matrix", "values"] as const).filter((name) => fields.has(name));
  const [kind, second] = kinds;
  if (!kind) {
    fault(
      reading,
      "parallel",
      headOf(entry.value),
      "`parallel` says neither total, nor matrix, nor values",
      "Give one of them.",
    );
    return null;
  }
  if (second) {
    fault(
      reading,
      "mutually-exclusive",
      fields.get(second)?.keySpan ?? entry.keySpan,
      `"${kind}" and "${second}" exclude one another in \`parallel\``,
    );
  }
  const limit = fields.get("tasks-limit");
  const [key, total, matrix, values] = [
    fields.get("key"),
    fields.get("total"),
    fields.get("matrix"),
    fields.get("values"),
  ];
  const autoCancel = fields.get("auto-cancel");
  const read: Parallel = {
    ...plain,
    kind,
    key: key ? readTemplate(reading, key.value, "`parallel.key`") : null,
    tasksLimit:
      (limit && readInteger(reading, limit.value, "`tasks-limit`", { least: 1, most: MOST })) ?? DEFAULT_LIMIT,
    autoCancel: autoCancel ? readTemplate(reading, autoCancel.value, "`auto-cancel`") : null,
    total: total ? readTotal(reading, total.value) : null,
    matrix: matrix ? readMatrix(reading, matrix.value) : null,
    values: values ? readValues(reading, values.value) : null,
  };
  return checkCount(reading, entry, read);
}

function readTotal(reading: Reading, node: Node): Template | null {
  if (startsWithExpression(node)) return readTemplate(reading, node, "`parallel`");
  const total = readInteger(reading, node, "`parallel`", { least: 1 });
  return total === null ? null : String(total);
}

function readMatrix(reading: Reading, node: Node): NonNullable<Parallel["matrix"]> {
  const matrix: Record<string, Template | readonly Template[]> = {};
  for (const { key, keySpan, value } of entriesOf(reading, node, "`matrix`")) {
    if (value.kind === "list") {
      const read = itemsOf(reading, value, `\`${key}\``).flatMap(
        (item) => readTemplate(reading, item, `an item of ${key}`) ?? [],
      );
      if (read.length === 0)
        fault(reading, "parallel", keySpan, `The list ${JSON.stringify(key)} of the matrix is empty`);
      define(matrix, key, read);
    } else {
      const template = readTemplate(reading, value, `\`${key}\``);
      if (template !== null) define(matrix, key, template);
    }
  }
  if (node.kind === "map" && node.entries.length === 0) fault(reading, "parallel", node, "The matrix is empty");
  return matrix;
}

function readValues(reading: Reading, node: Node): Expression | readonly Readonly<Record<string, Template>>[] | null {
  if (startsWithExpression(node)) return readExpression(reading, node, "`values`");
  let expected: string | null = null;
  const all: Readonly<Record<string, Template>>[] = [];
  const rows = itemsOf(reading, node, "`values`");
  if (rows.length === 0 && node.kind === "list") fault(reading, "parallel", node, "The list `values` is empty");
  for (const row of rows) {
    const value = readTemplates(reading, row, "an item of `values`");
    const names = Object.keys(value).toSorted().join(", ");
    expected ??= names;
    if (names !== expected) {
      fault(
        reading,
        "parallel",
        row,
        `All items of \`values\` must have the same keys: expected ${expected}, found ${names || "none"}`,
      );
    } else if (names === "" && row.kind === "map") {
      fault(reading, "parallel", row, "An item of `values` is empty");
    }
    all.push(value);
  }
  return all;
}

function checkCount(reading: Reading, entry: Entry, parallel: Parallel): Parallel {
  const { total, matrix, values, tasksLimit } = parallel;
  let count = typeof total === "string" ? Number(total) : 1;
  for (const list of Object.values(matrix ?? {})) if (Array.isArray(list)) count *= list.length;
  if (Array.isArray(values)) count = values.length;
  if (count > tasksLimit) {
    const advice = count <= MOST ? `Set \`tasks-limit\` to ${count}.` : `At most ${MOST} are possible.`;
    fault(
      reading,
      "parallel-limit",
      entry.keySpan,
      `\`parallel\` makes ${count} tasks, and its limit is ${tasksLimit}`,
      advice,
    );
  }
  return parallel;
}

/** The names that `parallel.*` has in this task's expressions; null when an expression decides them. */
export function parallelNames(parallel: Parallel): readonly string[] | null {
  const common = ["index", "total"];
  if (parallel.kind === "total") return common;
  if (parallel.matrix) return [...common, ...Object.keys(parallel.matrix)];
  if (!Array.isArray(parallel.values)) return null;
  return [...common, ...Object.keys((parallel.values as readonly object[])[0] ?? {})];
}
