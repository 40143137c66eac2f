// Which mesh this is. The compile script defines the constants; a run from the sources has none.

declare const MESH_VERSION: string | undefined;
declare const MESH_COMMIT: string | undefined;

/** "0.1.0" */
export const VERSION: string = typeof MESH_VERSION === "string" ? MESH_VERSION : "0.1.0-dev";

/** The commit it was built from; null when it was not compiled. */
export const COMMIT: string | null = typeof MESH_COMMIT === "string" ? MESH_COMMIT : null;
