// Where the compiled program lies for end-to-end tests.

import { resolve } from "node:path";

/** Absolute path of the executable under test. MESH_TEST_BINARY names another than `dist/mesh`. */
export const meshBinary = process.env["MESH_TEST_BINARY"] ?? resolve(import.meta.dir, "../../dist/mesh");
