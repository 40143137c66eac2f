// What system and SQLite errors mean to a user of the store: full, unwritable, or just failed.

import { errnoOf, MeshError } from "../../base/errors.ts";

const FULL = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL"]);
const UNWRITABLE = new Set([
  "EROFS",
  "EACCES",
  "EPERM",
  "ENOTDIR",
  "SQLITE_CANTOPEN",
  "SQLITE_READONLY",
  "SQLITE_PERM",
  "SQLITE_AUTH",
]);
const CORRUPT = new Set(["SQLITE_CORRUPT", "SQLITE_NOTADB"]);

/** The error to throw for `cause`, met while doing `action` ("write blob 1234"). Errors of ours and aborts pass unchanged. */
export function storeFailure(cause: unknown, action: string): unknown {
  if (cause instanceof MeshError || (cause instanceof Error && cause.name === "AbortError")) return cause;
  const code = primaryCode(cause);
  if (code === null) return cause;
  if (FULL.has(code)) return new MeshError("store.full", `Cannot ${action}: no space left`, { cause });
  if (UNWRITABLE.has(code)) return new MeshError("store.unwritable", `Cannot ${action}: no right to write`, { cause });
  return new MeshError("io.failed", `Cannot ${action}: ${code}`, { cause });
}

/** Whether the error says that the index's file can't be trusted. */
export function isCorruption(cause: unknown): boolean {
  const code = primaryCode(cause);
  return code !== null && CORRUPT.has(code);
}

/** Whether the error says that another process has the index at this moment. */
export function isBusy(cause: unknown): boolean {
  return primaryCode(cause) === "SQLITE_BUSY";
}

/** "SQLITE_READONLY_DBMOVED" and its like name their primary code first (sqlite.org/rescode.html). */
function primaryCode(cause: unknown): string | null {
  const code = errnoOf(cause);
  if (code === null || !code.startsWith("SQLITE_")) return code;
  return code.split("_").slice(0, 2).join("_");
}
