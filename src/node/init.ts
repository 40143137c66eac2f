// What `init.*` means in a run started from the command line: the definition's `on.cli.init`, overridden by `--init`.

import { MeshError } from "../base/errors.ts";
import { nearest } from "../base/text.ts";
import type { Definition } from "../spec/definition.ts";
import { interpolate } from "../spec/expression/evaluate.ts";
import type { Value } from "../spec/expression/value.ts";

/** Evaluates the defaults and lays the given values over them. Throws `usage.invalid` for a name no trigger gives. */
export function initValues(
  definition: Definition,
  given: Readonly<Record<string, string>>,
  event: Value,
  file: string,
): Readonly<Record<string, Value>> {
  const { cli } = definition.triggers;
  const known = new Set([...Object.keys(cli?.init ?? {}), ...definition.triggers.initNames]);
  for (const name of Object.keys(given)) {
    if (known.has(name)) continue;
    const meant = nearest(name, known);
    // a definition that does not speak of the command line leaves it to the command line
    if (cli === null && meant === null) continue;
    throw new MeshError("usage.invalid", `Cannot set init ${name}: ${file} does not name it under \`on\``, {
      hint: meant === null ? "Add it to `on.cli.init`." : `Did you mean ${meant}?`,
    });
  }
  const values: Record<string, Value> = {};
  const scope = { event, init: values };
  for (const [name, template] of Object.entries(cli?.init ?? {}))
    values[name] = given[name] ?? interpolate(template, scope, file);
  // a name that only other triggers give is there, empty, unless it is set
  for (const name of known) values[name] ??= given[name] ?? "";
  for (const [name, value] of Object.entries(given)) values[name] ??= value;
  return values;
}
