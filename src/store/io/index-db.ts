// The SQLite index of one store: opening, transactions, and what happens when its file can't be trusted. The only door to
// bun:sqlite. Tables belong to the files named after them; this one knows none.

import { constants, Database, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { closeSync, existsSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { LIMITS } from "../../base/limits.ts";
import { isBusy, isCorruption, storeFailure } from "./failures.ts";
import { SCHEMA, SCHEMA_VERSION } from "./schema.ts";

/** Something the user should hear of although all goes on. */
export interface StoreWarning {
  readonly code: "index-set-aside" | "result-dropped" | "layer-dropped" | "blob-dropped" | "entry-left-out";
  readonly message: string;
}

/** WAL pages before a checkpoint, whose two syncs are the only waits for the disk: 32 MiB. */
const CHECKPOINT_PAGES = 8_192;

/** A log up to this size is left to the next process, which reads all of it first. */
const MOST_LEFT_BYTES = 4 << 20;

/** Pause between two tries to open an index that another process is making. */
const BUSY_WAIT_MS = 5;

export class Index implements Disposable {
  readonly warnings: StoreWarning[] = [];
  readonly #path: string;
  #db: Database;
  #depth = 0;

  constructor(path: string) {
    this.#path = path;
    this.#db = this.#openSound();
  }

  /** One row, or null. `Row` is what the caller's columns are; nothing checks it. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  get<Row>(sql: string, ...values: SQLQueryBindings[]): Row | null {
    return this.#try(() => this.#prepare(sql).get(...values) as Row | null);
  }

  all<Row>(sql: string, ...values: SQLQueryBindings[]): Row[] {
    return this.#try(() => this.#prepare(sql).all(...values) as Row[]);
  }

  /** Runs a statement that changes rows; the number of rows changed. */
  run(sql: string, ...values: SQLQueryBindings[]): number {
    return this.#try(() => this.#prepare(sql).run(...values).changes);
  }

  /** Id of the row inserted last. */
  get lastId(): number {
    return this.get<{ id: number }>("SELECT last_insert_rowid() AS id")?.id ?? 0;
  }

  /**
   * Does all of `work` or nothing of it, alone among all processes: the write lock is taken first. May be nested. `work` must
   * be synchronous, and may be called again when the index had to be replaced by an empty one.
   */
  transaction<T>(work: () => T): T {
    if (this.#depth > 0) return work();
    return this.#try(() => {
      this.#prepare("BEGIN IMMEDIATE").run();
      this.#depth++;
      try {
        const result = work();
        this.#prepare("COMMIT").run();
        return result;
      } catch (error) {
        if (this.#db.inTransaction) this.#prepare("ROLLBACK").run();
        throw error;
      } finally {
        this.#depth--;
      }
    });
  }

  warn(code: StoreWarning["code"], message: string): void {
    if (this.warnings.length < 100) this.warnings.push({ code, message });
  }

  /**
   * Closes the index. A short log is left, as by a process that is killed: the next one goes on in it. Whoever is the last to close
   * would move it into the index, for which the disk is waited for twice, and the next one's first change waits once more.
   */
  [Symbol.dispose](): void {
    using _reader = this.#openReader();
    try {
      this.#db.close(false);
    } catch {
      // Nothing is lost: what was committed is in the log file.
    }
  }

  /** Whoever closes beside a reader is not the last one, and the reader may not write. Null: the log is long, or nothing can be read. */
  #openReader(): Database | null {
    try {
      if (statSync(`${this.#path}-wal`).size > MOST_LEFT_BYTES) return null;
      const reader = new Database(this.#path, { readonly: true });
      reader.query("PRAGMA user_version").get();
      return reader;
    } catch {
      return null;
    }
  }

  #prepare(sql: string): Statement<unknown, SQLQueryBindings[]> {
    return this.#db.query(sql);
  }

  #try<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isCorruption(error)) throw storeFailure(error, `use the index ${this.#path}`);
      if (this.#depth > 0) throw error;
      this.#replace(error);
      return work();
    }
  }

  #replace(cause: unknown): void {
    try {
      this.#db.close(false);
    } catch {
      // A database that can't be read may not close cleanly either.
    }
    this.#setAside(cause instanceof Error ? cause.message : String(cause));
    this.#db = this.#open();
  }

  /** Waits for others that are making the index: turning to WAL is refused at once while somebody reads. */
  #openPatiently(): Database {
    const deadline = performance.now() + LIMITS.indexBusyMs;
    for (;;) {
      try {
        return this.#open();
      } catch (error) {
        if (!isBusy(error) || performance.now() > deadline) throw error;
        Bun.sleepSync(BUSY_WAIT_MS);
      }
    }
  }

  #openSound(): Database {
    try {
      return this.#openPatiently();
    } catch (error) {
      if (!isCorruption(error)) throw storeFailure(error, `open the index ${this.#path}`);
      this.#setAside(error instanceof Error ? error.message : String(error));
      try {
        return this.#open();
      } catch (second) {
        throw storeFailure(second, `open the index ${this.#path}`);
      }
    }
  }

  #open(): Database {
    if (isForeign(this.#path)) this.#setAside("the file is no SQLite database");
    const db = new Database(this.#path, { create: true, readwrite: true });
    try {
      db.run(`PRAGMA busy_timeout = ${LIMITS.indexBusyMs}`);
      const version = db.query("PRAGMA user_version").get() as { user_version: number };
      if (version.user_version !== SCHEMA_VERSION) {
        if (version.user_version !== 0) {
          db.close(false);
          this.#setAside(`it has version ${version.user_version}, not ${SCHEMA_VERSION}`);
          return this.#open();
        }
        create(db);
      }
      db.run("PRAGMA synchronous = NORMAL");
      db.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      db.run("PRAGMA temp_store = MEMORY");
      db.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 0);
      return db;
    } catch (error) {
      db.close(false);
      throw error;
    }
  }

  /** Renames the index and its log files away; what they said of results is lost, content on disk stays. */
  #setAside(reason: string): void {
    const suffix = `corrupt-${Date.now().toString(36)}-${process.pid}`;
    for (const file of ["", "-wal", "-shm"]) {
      if (existsSync(this.#path + file)) renameSync(this.#path + file, `${this.#path}.${suffix}${file}`);
    }
    this.warn(
      "index-set-aside",
      `The index could not be read (${reason}); it was kept as index.sqlite.${suffix}, results start anew`,
    );
  }
}

/** WAL lets readers go on while one process writes; it is a property of the file and set once. */
function create(db: Database): void {
  db.run("PRAGMA journal_mode = WAL");
  db.run("BEGIN IMMEDIATE");
  try {
    const version = db.query("PRAGMA user_version").get() as { user_version: number };
    // Another process may have been faster.
    if (version.user_version === 0) db.run(SCHEMA);
    db.run("COMMIT");
  } catch (error) {
    if (db.inTransaction) db.run("ROLLBACK");
    throw error;
  }
}

/** Whether there is a file that does not begin like a database. SQLite would report that only at the first use. */
function isForeign(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return false;
  }
  try {
    const head = Buffer.alloc(16);
    const length = readSync(fd, head, 0, 16, 0);
    return length > 0 && head.toString("latin1", 0, length) !== "SQLite format 3\0";
  } finally {
    closeSync(fd);
  }
}
