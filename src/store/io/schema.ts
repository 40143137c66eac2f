// The index's tables. A change of shape is a new version: an index of another version is set aside, as content is on disk and
// results can be made again.

/** Stands in `PRAGMA user_version`. */
export const SCHEMA_VERSION = 1;

/** Digests are text ("sha256:..."), amounts integers, times Unix milliseconds, the rest JSON. */
export const SCHEMA = `
CREATE TABLE results (
  key TEXT NOT NULL PRIMARY KEY,
  body TEXT NOT NULL,
  sum INTEGER NOT NULL,
  needs TEXT NOT NULL,
  identity TEXT NOT NULL,
  run TEXT NOT NULL,
  expires_at INTEGER,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  used_seq INTEGER NOT NULL
);
CREATE INDEX results_identity ON results (identity);
CREATE INDEX results_used ON results (used_seq);
CREATE TABLE key_parts (key TEXT NOT NULL PRIMARY KEY, parts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layers (
  digest TEXT NOT NULL PRIMARY KEY,
  workspace TEXT NOT NULL,
  system TEXT NOT NULL,
  size INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  whiteouts INTEGER NOT NULL,
  ids TEXT NOT NULL,
  boot TEXT NOT NULL,
  used_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE trees (digest TEXT NOT NULL PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE blobs (
  digest TEXT NOT NULL PRIMARY KEY,
  size INTEGER NOT NULL,
  boot TEXT NOT NULL,
  used_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE views (key TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL, used_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE file_digests (scope TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE claims (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT,
  owner TEXT NOT NULL,
  cpu_milli INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL,
  gpus TEXT NOT NULL
);
CREATE TABLE runs (
  id TEXT NOT NULL PRIMARY KEY,
  title TEXT NOT NULL,
  definition TEXT NOT NULL,
  owner TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  finished_at INTEGER,
  summary TEXT
) WITHOUT ROWID;
CREATE TABLE run_events (
  run TEXT NOT NULL,
  seq INTEGER NOT NULL,
  last INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE run_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX run_messages_run ON run_messages (run);
CREATE TABLE pins (run TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (run, digest)) WITHOUT ROWID;
CREATE TABLE definitions (
  digest TEXT NOT NULL,
  checker TEXT NOT NULL,
  body TEXT NOT NULL,
  sum INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (digest, checker)
);
CREATE TABLE durations (identity TEXT NOT NULL PRIMARY KEY, mean_ms INTEGER NOT NULL, runs INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = ${SCHEMA_VERSION};
`;
