// Reading a run definition from disk: checked in full the first time its bytes are seen, read back as data after that.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Digest, digestOf } from "../base/digest.ts";
import { MeshError, errnoOf } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import type { Definition } from "../spec/definition.ts";
import type { Diagnostic } from "../spec/diagnostic.ts";
import { COMMIT, VERSION } from "../base/version.ts";

export interface DefinitionFile {
  /** As the user named it. */
  readonly path: string;
  readonly absolutePath: string;
  readonly directory: string;
  readonly text: string;
  readonly digest: Digest;
}

export type LoadedDefinition =
  | {
      readonly ok: true;
      readonly file: DefinitionFile;
      readonly definition: Definition;
      readonly diagnostics: readonly Diagnostic[];
    }
  | { readonly ok: false; readonly file: DefinitionFile; readonly diagnostics: readonly Diagnostic[] };

/** Where checked definitions are kept between runs. */
export interface CheckedDefinitions {
  get(digest: Digest, checker: string): string | null;
  put(digest: Digest, checker: string, json: string): void;
}

/** Reads the file. Throws `definition.not-found`, or `definition.invalid` for what is no text of bearable size. */
export function readDefinitionFile(path: string): DefinitionFile {
  const absolutePath = resolve(path);
  let bytes: Buffer;
  try {
    bytes = readFileSync(absolutePath);
  } catch (error) {
    const why = errnoOf(error) === "ENOENT" ? "there is no such file" : (errnoOf(error) ?? "it cannot be read");
    throw new MeshError("definition.not-found", `Cannot read ${path}: ${why}`, { cause: error });
  }
  if (bytes.length > LIMITS.definitionBytes) {
    throw new MeshError(
      "definition.invalid",
      `Cannot read ${path}: it has ${bytes.length} bytes, and ${LIMITS.definitionBytes} are the most`,
      {
        hint: "Split it, or generate fewer tasks.",
      },
    );
  }
  return {
    path,
    absolutePath,
    directory: dirname(absolutePath),
    text: bytes.toString("utf8"),
    digest: digestOf(bytes),
  };
}

/** Which checker's word is taken: another build may read the same bytes otherwise. */
const CHECKER_VERSION = `${VERSION} ${COMMIT ?? "source"}`;

/** Parses and checks a definition, or takes what an earlier check of the same bytes left; then no parser is loaded. */
export async function loadDefinition(path: string, checked: CheckedDefinitions | null): Promise<LoadedDefinition> {
  const file = readDefinitionFile(path);
  const known = checked?.get(file.digest, CHECKER_VERSION) ?? null;
  if (known !== null) return { ok: true, file, definition: JSON.parse(known) as Definition, diagnostics: [] };
  const { parseDefinition } = await import("../spec/parse.ts");
  const { definition, diagnostics } = parseDefinition(file.text, { file: path });
  if (definition === null) return { ok: false, file, diagnostics };
  // a definition with remarks is checked again each time, so that they are shown again
  if (diagnostics.length === 0) checked?.put(file.digest, CHECKER_VERSION, JSON.stringify(definition));
  return { ok: true, file, definition, diagnostics };
}
