// Task keys and the places that name tasks: how they are read, before it is known which tasks there are.

import { printable } from "../../base/text.ts";
import { fault, itemsOrOne, type Reading, readText } from "../reading.ts";
import type { Span } from "../source.ts";
import type { Node } from "../yaml.ts";

const KEY = /^[A-Za-z0-9_-]+$/;
const KEY_PATH = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** One place that names a task: it is checked once all tasks are known. */
export interface Link {
  readonly relation: "use" | "after" | "inherit" | "target" | "values-from";
  /** Of a task, or a path `task.inner` into what a package or an embedded run brings. */
  readonly key: string;
  readonly span: Span;
}

/** The task of this definition that a link names: of a path into one, its first part. */
export function taskOf({ key }: Pick<Link, "key">): string {
  return key === "package.use" ? key : (key.split(".")[0] ?? key);
}

/** A key of a task or of something inside one. Null, and a fault, when it cannot be one. */
export function readKey(reading: Reading, node: Node, what: string): string | null {
  const text = readText(reading, node, what);
  if (text === null) return null;
  if (KEY.test(text)) return text;
  const message = `${JSON.stringify(printable(text.slice(0, 80)))} cannot be ${what}`;
  fault(reading, "task-key", node, message, "Use letters, digits, hyphens and underscores.");
  return null;
}

/** A task or a list of tasks, named by key or by path. */
export function readTaskKeys(reading: Reading, node: Node, relation: Link["relation"]): readonly Link[] {
  const links: Link[] = [];
  for (const item of itemsOrOne(reading, node)) {
    const key = readTaskName(reading, item, relation);
    if (key !== null) links.push({ relation, key, span: item });
  }
  return links;
}

function readTaskName(reading: Reading, node: Node, relation: Link["relation"]): string | null {
  const what = `a task's key in \`${relation}\``;
  const text = readText(reading, node, what);
  if (text === null) return null;
  if (KEY_PATH.test(text)) return text;
  if (text.includes("${{")) {
    fault(
      reading,
      "expression-not-allowed",
      node,
      `Expressions are not evaluated in \`${relation}\``,
      "Name the tasks themselves.",
    );
  } else {
    fault(
      reading,
      "task-key",
      node,
      `${JSON.stringify(printable(text.slice(0, 80)))} cannot be ${what}`,
      "Use letters, digits, hyphens and underscores.",
    );
  }
  return null;
}
