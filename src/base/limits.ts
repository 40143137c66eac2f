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
  /** Most values in one message, keys included, and their deepest nesting. */
  messageValues: 131_072,
  messageDepth: 32,
  /** Longest name of a method, and longest error message that is taken from another machine. */
  methodChars: 64,
  peerMessageChars: 2_000,
  /** How long a call to another machine may take when its caller does not say. */
  callMs: 10_000,
  /** Calls of one connection that are served at once, and streams. */
  connectionCalls: 1_024,
  connectionStreams: 64,
  /** Bytes that wait to be sent on a connection: bulk pauses, new words and calls are refused, the connection is given up. */
  queueBulkBytes: 1 * MIB,
  queueWordBytes: 4 * MIB,
  queueMostBytes: 16 * MIB,
  /** Bytes of a stream that may be under way or unread at its reader. */
  streamWindowBytes: 8 * MIB,
  /** How long a stream that has bytes to send may wait for its reader. */
  streamStallMs: 60_000,
  /** A connection that was silent for so long is asked for a sign of life, and is given up after so long. */
  pingMs: 1_000,
  connectionSilentMs: 15_000,
  /** How long a TLS handshake and the hello after it may take, each. */
  handshakeMs: 5_000,
  /** Connections that have not shown who they are: in all, and from one address. */
  halfOpen: 128,
  halfOpenPerAddress: 16,
  /** Connections of their own for bulk data between two machines. */
  bulkConnections: 2,
  /** Most connections that one machine may hold here. */
  connectionsPerPeer: 8,
  /** How long a connection that is closed has to finish what is under way. */
  closeMs: 2_000,

  // Identity and pairing

  /** Largest certificate of a peer that is read. */
  certificateBytes: 4 * KIB,
  /** Largest identity file. */
  identityFileBytes: 64 * KIB,

  // Membership and discovery

  /** Most machines in one mesh. */
  peers: 1_024,

  // Content that moves between machines

  // Work that is placed on other machines
} as const;
