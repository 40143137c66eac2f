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
  /** Most entries in a roster, half of them grants; most that are issued by one grant; the largest entry and the largest file. */
  rosterEntries: 8_192,
  rosterPerAuthority: 2_048,
  rosterEntryBytes: 192 * KIB,
  rosterFileBytes: 256 * MIB,
  /** Most entries that a revocation honours, and most that a grant overrules. */
  rosterHonoured: 4_096,
  rosterOverrules: 256,
  /** Most codes that are open at once, how long one is open when its inviter does not say, and at most. */
  inviteCodes: 16,
  inviteMs: 10 * 60_000,
  inviteMostMs: 24 * 3_600_000,
  /** Longest membership that ends by itself. */
  memberMostMs: 10 * 366 * 24 * 3_600_000,
  /** How often pairing may be tried within the window: by one address, and by all. */
  pairingsPerAddress: 6,
  pairingsInAll: 30,
  pairingWindowMs: 60_000,
  /** Largest message of a pairing, the last one with the roster in it; and how long a pairing may take. */
  pairingMessageBytes: 1 * MIB - 4 * KIB,
  pairingMs: 15_000,

  // Membership and discovery

  /** Most machines in one mesh. */
  peers: 1_024,
  /** Most addresses that are known of one machine, and most of them that are tried in one round. */
  peerAddresses: 16,
  dialsPerRound: 8,
  /** Most connections to other machines that are being opened at once, and how long one may take. */
  dialsAtOnce: 16,
  dialMs: 3_000,
  /** How much later the next address of a machine is tried while the one before has not answered. */
  dialHeadStartMs: 100,
  /** How long a machine waits between rounds in which none of an absent machine's addresses answered: first, and at most. */
  redialMs: 250,
  redialMaxMs: 30_000,
  /** How often a connection carries a heartbeat. */
  heartbeatMs: 1_000,
  /** Silence after which a connected machine is suspected, and after which its connection is given up. */
  suspectMs: 2_500,
  silentMs: 3_300,
  /** How long a machine whose connection broke may take to be connected again before it counts as down. */
  reconnectMs: 700,
  /** A pause of this machine's own that is so much longer than meant is not held against others. */
  ownLagMs: 150,
  /** Most machines whose addresses one heartbeat tells. */
  toldPeers: 16,
  /** Longest host name, version and name of a GPU that another machine may say of itself; most labels, base keys and GPUs. */
  snapshotTextChars: 256,
  snapshotItems: 256,
  /** Largest file of remembered addresses. */
  addressesFileBytes: 4 * MIB,
  /** Most bytes of roster entries in one message. */
  rosterMessageBytes: 768 * KIB,
  /** Largest text that a machine announces of itself by multicast, and most machines that are listened to at once. */
  announcementBytes: 1_024,
  announcements: 2_048,

  // Content that moves between machines

  /** Bytes of a chunk of large content, and most chunks of one content: beyond, chunks are larger. */
  chunkBytes: 1 * MIB,
  chunks: 16_384,
  /** A file of a layer, or a blob, is sent with others up to this size, and in chunks beyond. */
  smallContentBytes: 1 * MIB,
  /** Files, and their bytes, that are asked for at once. */
  batchFiles: 1_024,
  batchBytes: 2 * MIB,
  /** Largest tree of a layer that is taken from another machine. */
  treeBytes: 256 * MIB,
  /** Digests in one question, and machines named in one answer. */
  locateRefs: 4_096,
  swarmPeers: 64,
  /** Pieces under way at once from one machine, from one while others receive the same (few, or promises are kept late), and from all. */
  piecesPerPeer: 6,
  piecesPerReceiver: 2,
  pieces: 24,
  /** Transfers of one fetch that run at once. */
  transfers: 4,
  /** Streams of content served at once to one machine and to all; others wait, up to this many. */
  servedPerPeer: 12,
  served: 32,
  servedWaiting: 512,
  /** A machine that sends nothing of a piece for so long has lost it. */
  contentStallMs: 15_000,
  /** How long content is looked for when every machine that had it is gone. */
  contentSearchMs: 5_000,
  /** File contents that can be found by digest in layers that are here. */
  filePlaces: 1_000_000,
  /** Space that a fetch leaves free on the store's disk. */
  diskReserveBytes: 64 * MIB,

  // Work that is placed on other machines

  /** Longest name, and longest path, that another machine may send. */
  nameChars: 1_024,
  pathChars: 65_536,
  /** Most variables, filter entries and GPUs in what another machine sends. */
  variables: 10_000,
  filterEntries: 100_000,
  gpus: 256,
  /** Work, or a result, up to this size crosses in a message; a larger one as a blob that is fetched. */
  parcelInlineBytes: 128 * KIB,
  /** Trees of layers that cross with a result; others are fetched. */
  parcelTreeBytes: 64 * KIB,
  /** How long a ready task waits for a machine to come back that alone could run it. */
  nodeReturnMs: 30_000,
  /** How often in a row a run is taken up without a task of it ending before it is given up. */
  runTakeUps: 8,
  /** Take-ups further apart than this are no row. */
  runTakeUpGapMs: 5 * 60_000,
  /** A shorter row does not count: a machine that is switched off and on a few times is no run that ends its node. */
  runTakeUpRowMs: 2 * 60_000,
  /** How long a run that is taken up waits for the machines that it had tasks on. */
  adoptMs: 10_000,
  /** Keys in one question about results. */
  findKeys: 1_000,
  /** How long a machine whose disk was full at the end of a task is left alone, whatever it says of the room that the task gave back. */
  diskFullMs: 5_000,
  /** What one message about work may hold. */
  workMessageBytes: 512 * KIB,
  /** How long a granted lease waits for the word to start. */
  grantMs: 15_000,
  /** How long attempts go on, and their ends are kept, while their coordinator is silent. */
  orphanMs: 10 * 60_000,
  /** How long a coordinator may say nothing of a run before a worker that has attempts of it asks whether it is over. */
  doubtMs: 5_000,
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
  /** Most tasks that one round of placing holds back for machines that are busy. */
  heldTasks: 512,
  /** Changes of machines that are kept for views which have not read them. */
  fleetChanges: 8_192,

  // The node and those who talk to it

  /** How long one ping of a person waits for its answer. */
  pingAnswerMs: 2_000,
  /** How long a node that is started in the background may take to answer, and one that is stopped to end. */
  nodeStartMs: 15_000,
  nodeStopMs: 45_000,
  /** How long a process that was killed may take to close its sockets. */
  nodeGoneMs: 5_000,
  /** How often a process that starts or ends is looked at. */
  nodeLookMs: 20,
  /** Output that may wait for one who watches a run; what is beyond is skipped for them, with a count. */
  feedOutputBytes: 4 * MIB,
  /** Runs that have ended and can still be watched, and the messages that are kept of all of them. */
  endedRuns: 16,
  endedRunMessages: 100_000,
  /** How long runs have to end when their node is stopped, before they are ended. */
  nodeGraceMs: 10_000,
  /** Longest line of a run that is watched on another machine: its end, with all tasks and what they left. */
  feedLineChars: 64 * MIB,
  /** Largest request to the node's own socket, except for a blob that is put. */
  apiRequestBytes: 4 * MIB,
} as const;
