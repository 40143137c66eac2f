// The header of a package file: `package:` in a local package, or the top level of a published one (rwx-package.yml).

import type { NotExecuted, PackageHeader, Template } from "./definition.ts";
import {
  define,
  entriesOf,
  isNull,
  missing,
  placeOf,
  readBoolean,
  readFields,
  type Reading,
  readPlainText,
  readTemplate,
  readText,
  within,
  fault,
} from "./reading.ts";
import { type Link, readTaskKeys, taskOf } from "./task/keys.ts";
import type { Entry } from "./yaml.ts";

export const PACKAGE_KEYS = [
  "description",
  "issue_tracker_url",
  "name",
  "outputs",
  "parameters",
  "source_code_url",
  "version",
];

interface Form {
  readonly pattern: RegExp;
  /** After "is not". */
  readonly words: string;
}

const NAME: Form = { pattern: /^\s*[a-z0-9-]+\/[a-z0-9-]+\s*$/, words: 'a package\'s name, such as "git/clone"' };
const VERSION: Form = { pattern: /^\s*\d+\.\d+\.\d+\s*$/, words: 'an exact version, such as "1.0.2"' };

/** Reads the value of `package`: true, false, or the header's keys. Null when the file is no package. */
export function readPackage(
  reading: Reading,
  entry: Entry | undefined,
  links: Link[],
  notExecuted: NotExecuted[],
): PackageHeader | null {
  if (!entry) return null;
  notExecuted.push({ feature: "local-package", at: placeOf(reading, entry.keySpan) });
  if (entry.value.kind !== "map") {
    const said = isNull(entry.value) ? true : readBoolean(reading, entry.value, "`package`");
    return said === false ? null : readHeader(reading, new Map(), links);
  }
  return readHeader(reading, readFields(reading, entry.value, PACKAGE_KEYS, "`package`"), links);
}

/** Reads the header from its fields, wherever they stand. */
export function readHeader(reading: Reading, fields: ReadonlyMap<string, Entry>, links: Link[]): PackageHeader {
  const text = (key: string): string | null => {
    const entry = fields.get(key);
    return entry && !isNull(entry.value) ? readText(reading, entry.value, `\`${key}\``) : null;
  };
  const name = text("name");
  const version = text("version");
  for (const key of ["description", "source_code_url", "issue_tracker_url"]) text(key);
  checkForm(reading, fields.get("name"), name, NAME);
  checkForm(reading, fields.get("version"), version, VERSION);
  const { values, valuesFrom } = readOutputs(reading, fields.get("outputs"), links);
  return { name, version, parameters: readParameters(reading, fields.get("parameters")), values, valuesFrom };
}

function checkForm(reading: Reading, entry: Entry | undefined, text: string | null, form: Form): void {
  if (!entry || text === null || form.pattern.test(text)) return;
  fault(reading, "invalid-value", entry.value, `${JSON.stringify(text.slice(0, 80))} is not ${form.words}`);
}

function readParameters(reading: Reading, entry: Entry | undefined): PackageHeader["parameters"] {
  if (!entry) return [];
  return entriesOf(reading, entry.value, "`parameters`").map(({ key, value }) => {
    const fields = readFields(reading, value, ["default", "description", "required"], `the parameter ${key}`);
    const [description, standard, required] = ["description", "default", "required"].map((name) => fields.get(name));
    if (description && !isNull(description.value)) readText(reading, description.value, "`description`");
    return {
      name: key,
      required: (required && readBoolean(reading, required.value, "`required`")) ?? false,
      default:
        standard && !isNull(standard.value) ? readPlainText(reading, standard.value, "a parameter's `default`") : null,
    };
  });
}

function readOutputs(
  reading: Reading,
  entry: Entry | undefined,
  links: Link[],
): { readonly values: Readonly<Record<string, Template>>; readonly valuesFrom: readonly string[] } {
  if (!entry) return { values: {}, valuesFrom: [] };
  const fields = readFields(reading, entry.value, ["artifacts", "values", "values-from"], "`outputs`");
  const [declared, from] = [fields.get("values"), fields.get("values-from")];
  const values: Record<string, Template> = {};
  within(reading, "package-output", () => {
    for (const { key, value } of declared ? entriesOf(reading, declared.value, "`values`") : []) {
      const parts = readFields(reading, value, ["description", "value"], `the value ${key}`);
      const given = parts.get("value");
      if (!given) missing(reading, value, "value", `The value ${key}`);
      const template = given ? readTemplate(reading, given.value, `the value ${key}`) : null;
      if (template !== null) define(values, key, template);
    }
  });
  const sources = from ? readTaskKeys(reading, from.value, "values-from") : [];
  for (const link of sources) links.push(link);
  return { values, valuesFrom: sources.map(taskOf) };
}
