// Reads one TypeScript file into what the layout rules ask about: its imports and the globals that it touches.
// Names are not resolved by scope: a global that the file declares anywhere under the same name is not reported.

import { parseSync } from "oxc-parser";

export interface SourceFile {
  /** From the checkout, with forward slashes: "src/base/text.ts". */
  readonly path: string;
  readonly text: string;
}

export interface Located {
  readonly line: number;
}

export interface ParsedFile {
  readonly path: string;
  readonly lines: number;
  /** Imports, re-exports, `import()` and `import("...")` types, in the order of the text. */
  readonly imports: readonly (Located & { readonly specifier: string })[];
  /** Dotted names that begin with a global: "process.env", "Bun.file", "setTimeout", "new Date()". */
  readonly globals: readonly (Located & { readonly name: string })[];
  /** True when the file says nothing of its own: all it does is pass on other files' exports. */
  readonly isBarrel: boolean;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

/** Parses a file. Throws on a syntax error. */
export function parseFile(file: SourceFile): ParsedFile {
  const { program, errors } = parseSync(file.path, file.text);
  if (errors.length > 0) throw new Error(`${file.path}: ${errors[0]?.message ?? "syntax error"}`);
  const root = program as unknown as Node;
  const declared = new Set<string>();
  const imports: { specifier: string; line: number }[] = [];
  const mentions: { name: string; start: number }[] = [];
  walk(root, (node) => {
    const specifier = specifierOf(node);
    if (specifier !== null) imports.push({ specifier, line: lineAt(file.text, node.start) });
    for (const name of declaredBy(node)) declared.add(name);
    const name = globalOf(node);
    if (name !== null) mentions.push({ name, start: node.start });
  });
  return {
    path: file.path,
    lines: file.text.trimEnd().split("\n").length,
    imports,
    globals: mentions
      .filter(({ name }) => !declared.has(/^(?:new )?([\w$]+)/.exec(name)?.[1] ?? ""))
      .map(({ name, start }) => ({ name, line: lineAt(file.text, start) })),
    isBarrel: isBarrel(root),
  };
}

function specifierOf(node: Node): string | null {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportAllDeclaration":
    case "ExportNamedDeclaration":
    case "ImportExpression":
    case "TSImportType": {
      const source = (node["source"] ?? node["argument"]) as Node | null | undefined;
      const literal = source?.type === "TSLiteralType" ? (source["literal"] as Node) : source;
      return typeof literal?.["value"] === "string" ? literal["value"] : null;
    }
    default:
      return null;
  }
}

/** Names that a node binds. Patterns are walked by themselves: their leaves are found through their holders. */
function declaredBy(node: Node): readonly string[] {
  const at = (field: string): readonly string[] => bound(node[field] as Node | null | undefined);
  switch (node.type) {
    case "VariableDeclarator":
    case "ClassDeclaration":
    case "ClassExpression":
      return at("id");
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      return [...at("id"), ...(node["params"] as readonly Node[]).flatMap(bound)];
    case "CatchClause":
      return at("param");
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
      return at("local");
    default:
      return [];
  }
}

function bound(pattern: Node | null | undefined): readonly string[] {
  switch (pattern?.type) {
    case "Identifier":
      return [pattern["name"] as string];
    case "ObjectPattern":
      return (pattern["properties"] as readonly Node[]).flatMap((property) =>
        bound((property["value"] ?? property["argument"]) as Node),
      );
    case "ArrayPattern":
      return (pattern["elements"] as readonly (Node | null)[]).flatMap(bound);
    case "AssignmentPattern":
      return bound(pattern["left"] as Node);
    case "RestElement":
      return bound(pattern["argument"] as Node);
    default:
      return [];
  }
}

/** The dotted name of a node that reads something no one in particular declared; `declaredBy` sorts out the rest. */
function globalOf(node: Node): string | null {
  if (node.type === "Identifier") return node["name"] as string;
  if (node.type === "MetaProperty") return "import.meta";
  if (node.type === "NewExpression" && (node["arguments"] as readonly Node[]).length === 0) {
    const callee = node["callee"] as Node;
    return callee.type === "Identifier" ? `new ${callee["name"] as string}` : null;
  }
  if (node.type !== "MemberExpression") return null;
  const object = node["object"] as Node;
  const property = node["property"] as Node;
  const key = node["computed"] === true ? property["value"] : property["name"];
  if (object.type !== "Identifier") return null;
  return `${object["name"] as string}.${typeof key === "string" ? key : "*"}`;
}

function isBarrel(program: Node): boolean {
  const body = program["body"] as readonly Node[];
  const passesOn = body.filter(
    ({ type, declaration }) =>
      type === "ExportAllDeclaration" || (type === "ExportNamedDeclaration" && declaration === null),
  );
  const own = body.filter((node) => node.type !== "ImportDeclaration" && !passesOn.includes(node));
  return passesOn.length > 0 && own.length === 0;
}

/** Fields that hold names, not expressions. */
const NAME_FIELDS: Readonly<Record<string, readonly string[]>> = {
  ImportSpecifier: ["imported", "local"],
  ImportDefaultSpecifier: ["local"],
  ImportNamespaceSpecifier: ["local"],
  ExportSpecifier: ["exported"],
  LabeledStatement: ["label"],
  BreakStatement: ["label"],
  ContinueStatement: ["label"],
  MetaProperty: ["meta", "property"],
};

/** Visits a node and what is in it; of types, only `import("...")`. A member's object is visited as part of it. */
function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const [field, value] of Object.entries(node)) {
    if (NAME_FIELDS[node.type]?.includes(field)) continue;
    if ((field === "property" || field === "key") && node["computed"] !== true) continue;
    if (node.type === "MemberExpression" && field === "object" && (value as Node).type === "Identifier") continue;
    for (const child of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
      if (isNode(child))
        walk(child, isTypeOnly(child) ? (inner) => inner.type === "TSImportType" && visit(inner) : visit);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

/** Type syntax; the wrappers around expressions (`x as T`, `x!`, `x satisfies T`) are not, nor are their expressions. */
function isTypeOnly(node: Node): boolean {
  const wrappers = ["TSAsExpression", "TSNonNullExpression", "TSSatisfiesExpression", "TSTypeAssertion"];
  return node.type.startsWith("TS") && !wrappers.includes(node.type);
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}
