// Which build this is. The compiler writes the values in; a run from source has none.

declare const MESH_VERSION: string | undefined;
declare const MESH_COMMIT: string | undefined;

export const VERSION: string = typeof MESH_VERSION === "string" ? MESH_VERSION : "0.1.0-dev";

/** Commit that was built, or null when it is not known. */
export const COMMIT: string | null = typeof MESH_COMMIT === "string" ? MESH_COMMIT : null;
