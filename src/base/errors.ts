// The one error class and the closed table of everything that can fail. A new failure is a new row.
// It never prints: the cli decides how an error looks.

/** Where a fault stands in a file. Lines and columns count from 1, columns in UTF-16 code units. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

interface ErrorRow {
  /** Exit code of the process: 1 run failed, 2 usage or definition, 3 nothing fits, 4 peer or mesh, 5 corrupt data, 130 interrupted. */
  readonly exit: 1 | 2 | 3 | 4 | 5 | 130;
  /** HTTP status where a local API answers with this error. */
  readonly http: number;
  /** Whether the same call may succeed when it is made again unchanged. */
  readonly retry: boolean;
  /** What the reader can do. Completed by `MeshError.hint` when the thrower knows better. */
  readonly hint: string;
}

export const ERROR_CODES = {
  "usage.invalid": { exit: 2, http: 400, retry: false, hint: "See `mesh help`." },
  "definition.invalid": {
    exit: 2,
    http: 422,
    retry: false,
    hint: "Mend the places named above; `mesh lint` checks again.",
  },
  "definition.not-found": {
    exit: 2,
    http: 404,
    retry: false,
    hint: "Give the path of a run definition: `mesh run tasks.yml`.",
  },
  "definition.unsupported": { exit: 2, http: 422, retry: false, hint: "Leave the key out, or run the task elsewhere." },
  "expression.invalid": { exit: 2, http: 422, retry: false, hint: "Mend the expression at the place named above." },
  "run.failed": { exit: 1, http: 409, retry: false, hint: "The failed tasks are listed above." },
  "run.not-found": { exit: 2, http: 404, retry: false, hint: "`mesh runs list` shows the runs this machine knows." },
  "task.not-found": { exit: 2, http: 404, retry: false, hint: "`mesh results` shows the tasks of a run." },
  "task.failed": { exit: 1, http: 409, retry: false, hint: "`mesh logs` shows what the task printed." },
  "artifact.not-found": { exit: 2, http: 404, retry: false, hint: "`mesh artifacts list` shows what a run left." },
  "capacity.none-fits": { exit: 3, http: 409, retry: false, hint: "Ask for less, or join a machine that has it." },
  "context.unavailable": {
    exit: 3,
    http: 503,
    retry: false,
    hint: "`mesh doctor` says what is missing and how to get it. `mesh run --isolation process` runs tasks without any isolation.",
  },
  "context.failed": { exit: 4, http: 500, retry: true, hint: "`mesh doctor` checks what a task's context needs." },
  "store.unwritable": {
    exit: 4,
    http: 507,
    retry: true,
    hint: "Free some space or set MESH_HOME to a writable folder.",
  },
  "store.full": { exit: 4, http: 507, retry: true, hint: "Free some space, or run `mesh cache prune`." },
  "store.corrupt": {
    exit: 5,
    http: 500,
    retry: false,
    hint: "`mesh cache prune --corrupt` drops what cannot be trusted.",
  },
  "layer.unfit": {
    exit: 3,
    http: 409,
    retry: false,
    hint: "Its files have owners that this user cannot give: run as root, or get subordinate ids (`mesh doctor`).",
  },
  "blob.corrupt": { exit: 5, http: 500, retry: true, hint: "The blob was dropped; the task that made it runs again." },
  "blob.missing": { exit: 5, http: 404, retry: true, hint: "The task that made it runs again on the next run." },
  "git.failed": { exit: 4, http: 502, retry: true, hint: "Check the repository's address and the ref." },
  "mesh.not-a-member": {
    exit: 2,
    http: 409,
    retry: false,
    hint: "`mesh init` makes a mesh here; `mesh join` joins one that is there.",
  },
  "mesh.already-a-member": { exit: 2, http: 409, retry: false, hint: "`mesh leave` leaves the mesh first." },
  "mesh.not-found": {
    exit: 4,
    http: 404,
    retry: true,
    hint: "Give an address where multicast does not reach: `mesh join HOST:PORT CODE`.",
  },
  "mesh.code-refused": {
    exit: 4,
    http: 403,
    retry: false,
    hint: "Ask for a new code: `mesh invite` on a machine of the mesh prints one.",
  },
  "mesh.not-allowed": { exit: 4, http: 403, retry: false, hint: "`mesh nodes` shows who is an admin of the mesh." },
  "mesh.revoked": {
    exit: 4,
    http: 403,
    retry: false,
    hint: "`mesh leave`, then join again with a code of an admin.",
  },
  "mesh.identity-copied": {
    exit: 4,
    http: 409,
    retry: false,
    hint: "This machine is a copy of another one: `mesh leave --new-identity`, then join the mesh with a code of its own.",
  },
  "mesh.state-exposed": {
    exit: 4,
    http: 500,
    retry: false,
    hint: "What the mesh keeps in MESH_HOME must be its user's own and closed to others.",
  },
  "mesh.state-corrupt": {
    exit: 5,
    http: 500,
    retry: false,
    hint: "`mesh leave --new-identity`, then join the mesh with a code of an admin.",
  },
  "node.already-running": { exit: 2, http: 409, retry: false, hint: "`mesh down` stops the one that runs." },
  "node.not-running": { exit: 2, http: 409, retry: true, hint: "`mesh up` starts it." },
  "node.failed": {
    exit: 4,
    http: 500,
    retry: true,
    hint: "The node's log says more: `mesh service status` shows where it is.",
  },
  "peer.not-found": { exit: 2, http: 404, retry: false, hint: "`mesh nodes` lists the machines of the mesh." },
  "peer.unreachable": { exit: 4, http: 502, retry: true, hint: "`mesh nodes` says why a machine is missing." },
  "peer.timeout": {
    exit: 4,
    http: 504,
    retry: true,
    hint: "`mesh ping` shows how well the machines reach each other.",
  },
  "peer.refused": { exit: 4, http: 403, retry: false, hint: "`mesh nodes` shows what each machine may do." },
  "peer.failed": { exit: 4, http: 502, retry: true, hint: "The other machine's own log says more." },
  "peer.version": {
    exit: 4,
    http: 426,
    retry: false,
    hint: "Bring the older of the two programs up to the version of the newer one.",
  },
  "peer.misbehaved": {
    exit: 4,
    http: 502,
    retry: false,
    hint: "`mesh nodes` counts what was wrong with what it sent.",
  },
  "io.failed": { exit: 4, http: 500, retry: true, hint: "" },
  "run.interrupted": { exit: 130, http: 409, retry: true, hint: "The same command takes up what was finished." },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERROR_CODES;

interface ErrorDetail {
  /** More precise than the table's hint; replaces it. */
  readonly hint?: string;
  readonly place?: Place;
  readonly cause?: unknown;
}

/** A failure that a caller may meet in normal life. Its message says what could not be done and quotes the values. */
export class MeshError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly place: Place | null;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "MeshError";
    this.code = code;
    this.hint = detail.hint ?? ERROR_CODES[code].hint;
    this.place = detail.place ?? null;
  }

  /** Exit code of a process that ends because of this error. */
  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }

  /** The documented JSON form: `{code, message, hint, place, causes}`. */
  toJSON(): ErrorJson {
    return { code: this.code, message: this.message, hint: this.hint, place: this.place, causes: causesOf(this.cause) };
  }
}

export interface ErrorJson {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly place: Place | null;
  /** Messages of the linked causes, nearest first. */
  readonly causes: readonly string[];
}

/** Makes a MeshError of whatever was thrown. What is no MeshError and no system error is a bug: null. */
export function asMeshError(error: unknown): MeshError | null {
  if (error instanceof MeshError) return error;
  const errno = errnoOf(error);
  // system errors alone: Bun gives codes to its own mistakes as well (ERR_...)
  if (errno === null || !/^E[A-Z0-9]+$/.test(errno) || !(error instanceof Error)) return null;
  if (errno === "ENOSPC") return new MeshError("store.full", `Cannot write: ${error.message}`, { cause: error });
  return new MeshError("io.failed", error.message, { cause: error });
}

/** Reads the documented JSON form back. A code that is not in the table becomes `fallback`. */
export function errorFromJson(json: ErrorJson, fallback: ErrorCode): MeshError {
  const code = Object.hasOwn(ERROR_CODES, json.code) ? (json.code as ErrorCode) : fallback;
  const [first] = json.causes;
  return new MeshError(code, json.message, {
    hint: json.hint,
    ...(json.place === null ? {} : { place: json.place }),
    ...(first === undefined ? {} : { cause: new Error(first) }),
  });
}

/** Throws a `MeshError`; an expression of type `never`, so that it can stand after `??`. */
export function fail(code: ErrorCode, message: string, detail: ErrorDetail = {}): never {
  throw new MeshError(code, message, detail);
}

/** The `code` of a system error ("ENOENT", "ENOSPC", ...), or null when `error` is not one. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

function causesOf(cause: unknown): readonly string[] {
  const causes: string[] = [];
  for (
    let at = cause;
    at !== undefined && at !== null && causes.length < 8;
    at = at instanceof Error ? at.cause : null
  ) {
    causes.push(at instanceof Error ? at.message : String(at));
  }
  return causes;
}
