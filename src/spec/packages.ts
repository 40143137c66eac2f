// The built-in packages and what each takes by `with`; and how `call` names a package. Running them is not its matter.

import { nearest, sentenceList } from "../base/text.ts";

export interface PackageSignature {
  readonly parameters: Readonly<Record<string, { readonly required: boolean; readonly kind: "text" | "boolean" }>>;
  /** True when other parameters may exist as well: they are a warning then, not an error. */
  readonly open: boolean;
  /** Names of the values it writes; null when they are not known. */
  readonly values: readonly string[] | null;
}

const text = { required: false, kind: "text" } as const;
const flag = { required: false, kind: "boolean" } as const;

/** Packages that are part of the program: they are executed, without anything being fetched. */
export const BUILT_IN_PACKAGES: ReadonlyMap<string, PackageSignature> = new Map<string, PackageSignature>([
  ["mesh/checkout", { parameters: { path: text, "include-ignored": flag }, open: false, values: [] }],
  [
    "git/clone",
    {
      parameters: {
        repository: { required: true, kind: "text" },
        ref: text,
        path: text,
        "preserve-git-dir": flag,
        "fetch-full-depth": flag,
        submodules: flag,
        lfs: flag,
        "restore-mtime": flag,
        "github-token": text,
        "github-access-token": text,
        "cursor-origin-token": text,
        "ssh-key": text,
        "meta-ref": text,
        "tool-cache-key-prefix": text,
      },
      open: true,
      values: null,
    },
  ],
]);

export type CallName =
  | { readonly kind: "named"; readonly name: string; readonly version: string | null }
  | { readonly kind: "digest" }
  | { readonly kind: "invalid"; readonly message: string; readonly advice: string };

const NAMED = /^([a-z0-9-]+\/[a-z0-9-]+)(?:\s+(\S+))?$/;
const VERSION = /^\d+\.\d+\.\d+$/;

/** Reads a `call` without expressions: "ns/name 1.2.3", a digest of 64 hex digits, or a built-in package's bare name. */
export function parseCall(call: string, known: ReadonlyMap<string, PackageSignature>): CallName {
  const given = call.trim();
  if (/^[0-9a-f]{64}$/.test(given)) return { kind: "digest" };
  const shown = JSON.stringify(given.slice(0, 100));
  if (/\.ya?ml$/i.test(given)) {
    const path = given.replace(/^\.?\//, "");
    return {
      kind: "invalid",
      message: `${shown} is a path, not a package`,
      advice: `A file beside this one is \`\${{ run.dir }}/${path}\`.`,
    };
  }
  const [, name, version] = NAMED.exec(given) ?? [];
  if (name === undefined) {
    return {
      kind: "invalid",
      message: `${shown} names no package`,
      advice: 'Write a name and its exact version: "git/clone 2.1.0".',
    };
  }
  if (version === undefined) {
    if (known.has(name)) return { kind: "named", name, version: null };
    const meant = nearest(name, known.keys());
    const advice =
      meant === null
        ? 'Write the exact version as well: "nodejs/install 1.1.14".'
        : `Did you mean ${JSON.stringify(meant)}?`;
    return { kind: "invalid", message: `${shown} has no version`, advice };
  }
  if (!VERSION.test(version)) {
    return {
      kind: "invalid",
      message: `${JSON.stringify(version)} is not an exact version`,
      advice: 'Versions have three numbers: "2.1.0".',
    };
  }
  return { kind: "named", name, version };
}

/** "path and include-ignored": the parameters of a package, for messages. */
export function parameterList(signature: PackageSignature): string {
  return sentenceList(Object.keys(signature.parameters));
}
