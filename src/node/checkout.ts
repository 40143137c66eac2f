// The built-in package `mesh/checkout`: the local working tree as a layer. Its key is its content, so that it is a hit
// whenever the files are what they were.

import { hexOf } from "../base/digest.ts";
import { type PackageInputs, packageWork, workspacePath } from "./package-inputs.ts";
import { packageKey } from "./package-key.ts";
import { checkoutRoot, listWorkingTree } from "./working-tree.ts";
import type { CheckoutWork } from "./work.ts";

/** Scans the working tree around the definition and says what its layer would be. */
export async function checkoutWork(inputs: PackageInputs): Promise<CheckoutWork> {
  const { task, parameters, context } = inputs;
  const root = checkoutRoot(context.definitionDirectory);
  const tree = await listWorkingTree(root, parameters["include-ignored"] === "true", context.signal);
  const prefix = workspacePath(parameters["path"] ?? "", task.key);
  // mesh's own state may lie in the tree: it is no part of it
  const home = `${context.store.paths.home}/`;
  const files = tree.files
    .filter((path) => !`${root}/${path}`.startsWith(home))
    .map((path) => ({
      source: `${root}/${path}`,
      path: prefix === "" ? path : `${prefix}/${path}`,
    }));
  // a layer that is there already costs a look at each file's times, and no copy
  const layer = await context.store.fromFiles(files, { scope: root, signal: context.signal });
  const { key, parts } = packageKey("mesh/checkout", { content: hexOf(layer.digest) });
  return {
    kind: "checkout",
    ...packageWork(inputs),
    key,
    parts,
    layer,
  };
}
