// An embedded run: a `call` of another definition, with `init`, `inherit-init` or `target`. Its filesystem is its own.

import type { EmbeddedRunTask } from "../definition.ts";
import { fault, readBoolean, readTemplate, readTemplates } from "../reading.ts";
import { readCache } from "./cache.ts";
import { entryOf, markNotExecuted, type Started } from "./draft.ts";
import { readTaskKeys } from "./keys.ts";

export function readEmbeddedRun(started: Started): EmbeddedRunTask {
  const { reading, fields } = started;
  markNotExecuted(started, "embedded-run", "call");
  const init = entryOf(started, "init");
  const target = entryOf(started, "target");
  const inherits = init?.value.kind === "scalar" && init.value.value === "inherit";
  return {
    ...started.common,
    kind: "embedded-run",
    call: readCall(started),
    init: init && !inherits ? readTemplates(reading, init.value, "`init`") : {},
    inheritInit: readInheritInit(started, inherits),
    // Targets lie in the definition that is called, so they are not among this one's links.
    targets: target ? readTaskKeys(reading, target.value, "target").map((link) => link.key) : [],
    cache: readCache(reading, fields.get("cache"), { ttl: false }),
  };
}

function readInheritInit(started: Started, inherits: boolean): boolean {
  const entry = entryOf(started, "inherit-init");
  const said = entry ? readBoolean(started.reading, entry.value, "`inherit-init`") : null;
  if (entry && inherits && said === false) {
    fault(
      started.reading,
      "mutually-exclusive",
      entry.keySpan,
      '"init: inherit" and "inherit-init: false" exclude one another',
    );
  }
  return said ?? inherits;
}

function readCall(started: Started): EmbeddedRunTask["call"] {
  const call = entryOf(started, "call");
  const template = call ? readTemplate(started.reading, call.value, "`call`") : null;
  if (typeof template !== "string" || !call) return template ?? "";
  const path = template.trim().replace(/^\.?\//, "");
  const advice = /\.ya?ml$/i.test(path)
    ? `Write \`\${{ run.dir }}/${path}\`.`
    : "Write `${{ run.dir }}/other.yml`, or an artifact's expression.";
  fault(
    started.reading,
    "package-name",
    call.value,
    `${JSON.stringify(template.slice(0, 100))} names no definition to embed`,
    advice,
  );
  return template;
}
