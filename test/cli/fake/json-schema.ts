// As much of JSON Schema (draft 2020-12) as schema/output.schema.json uses, for checking what commands print against it.

export interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
}

/** Faults of a value, by path; properties that the schema does not name are faults as well. */
export function schemaFaults(value: unknown, schema: Schema, root: Schema, at = "$"): readonly string[] {
  if (schema.$ref !== undefined)
    return schemaFaults(value, root.$defs?.[schema.$ref.slice("#/$defs/".length)] ?? {}, root, at);
  if (schema.oneOf) {
    const answers = schema.oneOf.map((one) => schemaFaults(value, one, root, at));
    if (answers.filter((faults) => faults.length === 0).length === 1) return [];
    return [`${at}: fits not exactly one of ${schema.oneOf.length} forms`];
  }
  const faults = [...valueFaults(value, schema, at)];
  if (Array.isArray(value) && schema.items)
    value.forEach((item, index) => faults.push(...schemaFaults(item, schema.items ?? {}, root, `${at}[${index}]`)));
  if (typeOf(value) === "object" && (schema.properties || schema.additionalProperties))
    faults.push(...objectFaults(value as Readonly<Record<string, unknown>>, schema, root, at));
  return faults;
}

/** Faults of what has no parts: its type, and the value itself. */
function valueFaults(value: unknown, schema: Schema, at: string): readonly string[] {
  const faults: string[] = [];
  const types = typeof schema.type === "string" ? [schema.type] : schema.type;
  if (types && !types.includes(typeOf(value)) && !(types.includes("number") && typeOf(value) === "integer"))
    faults.push(`${at}: is ${typeOf(value)}, not ${types.join(" or ")}`);
  if ("const" in schema && value !== schema.const) faults.push(`${at}: is not ${String(schema.const)}`);
  if (schema.enum && !schema.enum.includes(value)) faults.push(`${at}: ${JSON.stringify(value)} is not in the list`);
  if (schema.pattern !== undefined && typeof value === "string" && !new RegExp(schema.pattern).test(value))
    faults.push(`${at}: ${value} does not match`);
  if (schema.minimum !== undefined && typeof value === "number" && value < schema.minimum)
    faults.push(`${at}: ${value} is too small`);
  return faults;
}

function objectFaults(
  value: Readonly<Record<string, unknown>>,
  schema: Schema,
  root: Schema,
  at: string,
): readonly string[] {
  const faults = (schema.required ?? []).filter((name) => !(name in value)).map((name) => `${at}.${name}: is missing`);
  for (const [name, item] of Object.entries(value)) {
    const known = schema.properties?.[name] ?? schema.additionalProperties;
    if (known) faults.push(...schemaFaults(item, known, root, `${at}.${name}`));
    else faults.push(`${at}.${name}: is not in the schema`);
  }
  return faults;
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
