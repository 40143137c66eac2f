// Checks the layout of the sources against the policy. Every rule is a function from parsed files to what is wrong.

import { posix } from "node:path";
import {
  EFFECTFUL_GLOBALS,
  MAX_LINES,
  type Policy,
  PURE_BUN_MEMBERS,
  PURE_NODE_MODULES,
  UNMIRRORED_TESTS,
  VAGUE_NAMES,
} from "./policy.ts";
import { type ParsedFile, parseFile, type SourceFile } from "./source.ts";

export interface Tree {
  /** The files of src/, with their text. */
  readonly sources: readonly SourceFile[];
  /** Paths of all files of src/, scripts/ and test/. */
  readonly paths: readonly string[];
}

/** All that is wrong, one line each: "src/base/a.ts:3 imports src/spec/b.ts: spec stands above base". */
export function checkLayout(tree: Tree, policy: Policy): readonly string[] {
  const files = tree.sources.map(parseFile);
  return [
    ...files.flatMap((file) => floorFaults(file, policy)),
    ...files.flatMap((file) => purityFaults(file, policy)),
    ...files.flatMap((file) => doorFaults(file, policy)),
    ...cycleFaults(files),
    ...files.flatMap((file) => shapeFaults(file, policy)),
    ...mirrorFaults(tree.paths, policy),
  ];
}

function floorFaults(file: ParsedFile, policy: Policy): readonly string[] {
  const folder = folderOf(file.path);
  const floor = floorOf(folder, policy);
  if (floor === -1) return [`${file.path} lies on no floor: src/${folder} is not in the policy`];
  return localImports(file).flatMap(({ line, path }) => {
    if (!path.startsWith("src/")) return [`${file.path}:${line} imports ${path}, outside src/`];
    const other = folderOf(path);
    if (other === folder || floorOf(other, policy) < floor) return [];
    const how = floorOf(other, policy) === floor ? "stands beside" : "stands above";
    return [`${file.path}:${line} imports ${path}: ${other} ${how} ${folder}`];
  });
}

function purityFaults(file: ParsedFile, policy: Policy): readonly string[] {
  if (!isPure(file.path, policy)) return [];
  const imported = file.imports.flatMap(({ line, specifier }) => {
    const isEffect = /^(node|bun):/.test(specifier) || specifier === "bun";
    if (isEffect && !PURE_NODE_MODULES.includes(specifier))
      return [`${file.path}:${line} is pure but imports ${specifier}`];
    const path = resolve(file.path, specifier);
    return path !== null && isIo(path) ? [`${file.path}:${line} is pure but imports ${path}`] : [];
  });
  const touched = file.globals.flatMap(({ line, name }) =>
    isEffectful(name) ? [`${file.path}:${line} is pure but uses ${name}`] : [],
  );
  return [...imported, ...touched];
}

function isEffectful(name: string): boolean {
  const [object = "", member] = name.split(".");
  if (object === "Bun") return member === undefined || !PURE_BUN_MEMBERS.includes(member);
  return EFFECTFUL_GLOBALS.includes(name) || EFFECTFUL_GLOBALS.includes(object);
}

function doorFaults(file: ParsedFile, policy: Policy): readonly string[] {
  return file.imports.flatMap(({ line, specifier }) => {
    if (specifier.startsWith(".")) return [];
    const name = packageOf(specifier);
    const door = policy.doors[name];
    if (door === undefined) {
      return /^(node|bun):|^bun$/.test(name) ? [] : [`${file.path}:${line} imports ${name}, which has no door`];
    }
    const isDoor = door.some((place) => (place.endsWith("/") ? file.path.startsWith(place) : file.path === place));
    return isDoor ? [] : [`${file.path}:${line} imports ${name}, whose door is ${door.join(", ")}`];
  });
}

/** One path that closes each cycle, found depth first; type imports count. */
function cycleFaults(files: readonly ParsedFile[]): readonly string[] {
  const edges = new Map(files.map((file) => [file.path, localImports(file).map(({ path }) => path)]));
  const done = new Set<string>();
  const faults: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const from = trail.indexOf(path);
    if (from !== -1) faults.push(`import cycle: ${[...trail.slice(from), path].join(" -> ")}`);
    if (from !== -1 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const file of files) visit(file.path, []);
  return faults;
}

function shapeFaults(file: ParsedFile, policy: Policy): readonly string[] {
  const faults: string[] = [];
  if (file.isBarrel) faults.push(`${file.path} is a barrel: import the files themselves`);
  const vague = file.path
    .replace(/\.\w+$/, "")
    .split("/")
    .find((part) => VAGUE_NAMES.includes(part));
  if (vague !== undefined) faults.push(`${file.path} has a name that says nothing: "${vague}"`);
  const isListed = policy.longFiles[file.path] !== undefined;
  if (file.lines > MAX_LINES && !isListed) faults.push(`${file.path} has ${file.lines} lines, over ${MAX_LINES}`);
  if (file.lines <= MAX_LINES && isListed) faults.push(`${file.path} is listed as long but is not`);
  return faults;
}

/** `test/store/tree.test.ts` and `test/store/tree.property.test.ts` belong to `src/store/tree.ts`. */
function mirrorFaults(paths: readonly string[], policy: Policy): readonly string[] {
  const tests = paths.filter((path) => path.startsWith("test/") && path.endsWith(".test.ts"));
  return tests.flatMap((test) => {
    if (UNMIRRORED_TESTS.some((folder) => test.startsWith(folder))) return [];
    if (policy.storyTests[test] !== undefined || test.split("/").length === 2) return [];
    const folder = posix.dirname(test).replace("test/", "");
    const name = posix.basename(test).replace(/\..*$/, "");
    const root = folder === "scripts" || folder.startsWith("scripts/") ? "" : "src/";
    const twin = `${root}${folder}/${name}`;
    const hasTwin = paths.some((path) => path === `${twin}.ts` || path.startsWith(`${twin}/`));
    return hasTwin ? [] : [`${test} mirrors nothing: there is no ${twin}.ts`];
  });
}

function localImports(file: ParsedFile): readonly { readonly line: number; readonly path: string }[] {
  return file.imports.flatMap(({ line, specifier }) => {
    const path = resolve(file.path, specifier);
    return path === null ? [] : [{ line, path }];
  });
}

function resolve(from: string, specifier: string): string | null {
  return specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : null;
}

/** "yaml/util" -> "yaml", "@stricli/core/x" -> "@stricli/core", "bun:ffi" -> "bun:ffi". */
function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function folderOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function floorOf(folder: string, policy: Policy): number {
  return policy.floors.findIndex((folders) => folders.includes(folder));
}

function isIo(path: string): boolean {
  return path.split("/").slice(2, -1).includes("io");
}

function isPure(path: string, policy: Policy): boolean {
  return !policy.shells.includes(folderOf(path)) && !isIo(path);
}
