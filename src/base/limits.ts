// Every bound of every queue, frame, loop and input, in one table. Sizes in bytes, times in milliseconds.

const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = {
  /** Largest run definition that is read. */
  definitionBytes: 16 * MIB,
  /** Most tasks in one run, the ones added while it runs included. */
  tasks: 50_000,
  /** Deepest nesting of lists and maps in a definition. */
  definitionDepth: 64,
  /** Most nodes a definition may have after its YAML aliases are expanded. */
  definitionNodes: 2_000_000,
  /** Longest expression, and its deepest nesting. */
  expressionChars: 16_384,
  expressionDepth: 64,
  /** Most diagnostics that are shown for one file. */
  diagnostics: 200,
  /** Output kept of one task: the head and the tail; what lies between is counted and dropped. */
  logHeadBytes: 32 * MIB,
  logTailBytes: 1 * MIB,
  /** A log up to this size lives in the index, a larger one in a blob. */
  logInlineBytes: 8 * KIB,
  /** Largest value, variable, link or message a task may write through $MESH_VALUES and its like, and how many of each. */
  outputEntryBytes: 1 * MIB,
  outputEntries: 1_000,
  /** Largest sum of argv and environment given to a task. */
  argumentBytes: 1 * MIB,
  /** Most lower directories in one overlay mount; the kernel takes 500. */
  overlayLowers: 400,
  /** Deepest nesting of directories in a layer or an artifact. */
  treeDepth: 512,
  /** Processes and threads in one task's context. */
  taskPids: 2_048,
  /** How long a task may run when its definition does not say. */
  taskTimeoutMs: 60 * 60_000,
  /** Longest timeout that a definition may ask for. */
  taskTimeoutMaxMs: 7 * 24 * 3_600_000,
  /** How long a cancelled task has between SIGTERM and SIGKILL when its definition does not say. */
  cancelGraceMs: 5_000,
  /** How long a context may take from spawn to exec before it is called broken. */
  contextStartMs: 10_000,
  /** How often a task is offered again after its machine was lost, and how often it runs again because its output was. */
  taskLosses: 3,
  /** Most differences between two cache keys that are listed. */
  keyDifferences: 200,
  /** How long a wait for the store's index lasts before it is an error. */
  indexBusyMs: 15_000,

  // Between machines: frames, calls, streams

  /** Largest frame on a connection, its header included. */
  frameBytes: 1 * MIB,
  /** How long a call to another machine may take when its caller does not say. */
  callMs: 10_000,

  // Identity and pairing

  // Membership and discovery

  /** Most machines in one mesh. */
  peers: 1_024,

  // Content that moves between machines

  // Work that is placed on other machines

  /** How long a granted lease waits for the word to start. */
  grantMs: 15_000,
  /** How long attempts go on, and their ends are kept, while their coordinator is silent. */
  orphanMs: 10 * 60_000,
  /** A gap between two events of a machine that ticks each second which means that the machine itself stood still. */
  ownPauseMs: 5_000,
  /** Most attempts that a worker answers for, ends that nobody acknowledged included: in all, and of one coordinator. */
  heldAttempts: 8_192,
  heldAttemptsEach: 2_048,
  /** Keys in one message about claims; machines named for one result. */
  claimBatch: 256,
  claimHolders: 8,
  /** How long a claim stands that nobody repeats, and how often its holders repeat it. */
  claimMs: 15_000,
  claimRepeatMs: 4_000,
  /** How long a home's answer is waited for, and how often it is asked before the other home has to do. */
  claimAskMs: 1_000,
  claimTries: 3,
  /** How long a run waits for a busy key before it looks again by itself. */
  claimWatchMs: 5_000,
  /** Most keys that one machine looks after: in all, and of one holder. Most machines that are told when one is free. */
  claims: 131_072,
  claimsEach: 65_536,
  claimWaiters: 64,
  /** Shapes of asks for which a coordinator keeps all machines in order. */
  fleetViews: 64,
  /** Changes of machines that are kept for views which have not read them. */
  fleetChanges: 8_192,
} as const;
