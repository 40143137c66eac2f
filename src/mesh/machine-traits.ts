// By what a machine is known again, so that a copied disk or MESH_HOME is noticed: traits, kept only as salted digests, and the
// comparison of those kept with those found. It never reads the machine.

/** What was found on this machine; nothing where a trait cannot be read. All of it is private to the machine. */
export interface MachineTraits {
  /** /etc/machine-id. */
  readonly machineId: string | null;
  /** The mainboard's or virtual machine's UUID; mostly for root only. */
  readonly productUuid: string | null;
  /** Permanent MAC addresses of physical network interfaces. */
  readonly macAddresses: readonly string[];
  /** Serial numbers of disks. */
  readonly diskSerials: readonly string[];
}

const TRAIT_NAMES = {
  machineId: "machine id",
  productUuid: "mainboard",
  macAddresses: "network interfaces",
  diskSerials: "disks",
} as const;

type TraitKey = keyof typeof TRAIT_NAMES;

/** Digests of traits, as hex, sorted. */
export type SealedTraits = Readonly<Record<TraitKey, readonly string[]>>;

/** Digests of the traits under a salt, from which the traits cannot be told or compared with another machine's. */
export function sealTraits(traits: MachineTraits, salt: Uint8Array): SealedTraits {
  const seal = (trait: TraitKey, values: readonly (string | null)[]) =>
    values
      .filter((value) => value !== null && value !== "")
      .map((value) => new Bun.CryptoHasher("sha256", salt).update(`${trait}\0${value}`).digest("hex"))
      .toSorted();
  return {
    machineId: seal("machineId", [traits.machineId]),
    productUuid: seal("productUuid", [traits.productUuid]),
    macAddresses: seal("macAddresses", traits.macAddresses),
    diskSerials: seal("diskSerials", traits.diskSerials),
  };
}

export interface TraitComparison {
  /**
   * Whether it is the same machine: more traits are the same than are not, or none can be compared. One network card or one disk
   * of several may come or go: a trait is the same while one of its values is.
   */
  readonly same: boolean;
  /** For people: "network interfaces". */
  readonly matching: readonly string[];
  readonly differing: readonly string[];
}

/** Compares what was kept with what is found. A trait that either lacks says nothing: some are for root only. */
export function compareTraits(kept: SealedTraits, found: SealedTraits): TraitComparison {
  const matching: string[] = [];
  const differing: string[] = [];
  for (const key of Object.keys(TRAIT_NAMES) as TraitKey[]) {
    if (kept[key].length === 0 || found[key].length === 0) continue;
    const isSame = kept[key].some((digest) => found[key].includes(digest));
    (isSame ? matching : differing).push(TRAIT_NAMES[key]);
  }
  return { same: matching.length > differing.length || differing.length === 0, matching, differing };
}

/** Reads sealed traits out of parsed JSON; null when it has another form. */
export function parseSealedTraits(value: unknown): SealedTraits | null {
  if (typeof value !== "object" || value === null) return null;
  const digests: Partial<Record<TraitKey, readonly string[]>> = {};
  for (const key of Object.keys(TRAIT_NAMES) as TraitKey[]) {
    const list = (value as Readonly<Record<string, unknown>>)[key];
    if (!Array.isArray(list)) return null;
    const texts = list.filter((item): item is string => typeof item === "string" && /^[0-9a-f]{64}$/.test(item));
    if (texts.length !== list.length) return null;
    digests[key] = texts;
  }
  return digests as SealedTraits;
}
