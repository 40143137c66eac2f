// Sees to it that Bun is recent enough and that what package.json names is installed in its exact version.
// Asks the network only when something is missing.

import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { show } from "./command.ts";
import { giveUp, inProject, projectRoot, readManifest } from "./project.ts";

/**
 * Installs the locked dependencies unless they are all there, then starts the script anew: a running Bun keeps
 * answering from the folders it has listed, in which nothing was installed. Ends the script when they can't be had.
 */
export async function ensureDependencies(): Promise<void> {
  const manifest = await readManifest(projectRoot);
  if (!Bun.semver.satisfies(Bun.version, manifest.engines.bun)) {
    giveUp(`Bun ${manifest.engines.bun} is needed, this is ${Bun.version}. Try: npx -y bun@1.4.5 run ...`);
  }
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies };
  const missing = await missingPackages(wanted);
  if (missing.length === 0) return;
  process.stdout.write(
    `Installing ${missing.length} packages that are missing (${missing.slice(0, 3).join(", ")}, ...)\n`,
  );
  const exitCode = await install();
  if (exitCode !== 0) {
    giveUp(
      `Cannot install the dependencies: \`bun install --frozen-lockfile\` ended with ${exitCode}. ` +
        "It needs the npm registry once; nothing later does.",
    );
  }
  const stillMissing = await missingPackages(wanted);
  if (stillMissing.length > 0)
    giveUp(`Installed, and yet missing: ${stillMissing.join(", ")}. Does bun.lock fit package.json?`);
  process.exit(await show([process.execPath, ...process.argv.slice(1)]));
}

async function missingPackages(wanted: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const checked = await Promise.all(
    Object.entries(wanted).map(async ([name, version]) => {
      const file = Bun.file(inProject(`node_modules/${name}/package.json`));
      const installed = (await file.exists()) ? ((await file.json()) as { version?: string }).version : undefined;
      return installed === version ? null : name;
    }),
  );
  return checked.filter((name) => name !== null);
}

async function install(): Promise<number> {
  const argv = [process.execPath, "install", "--frozen-lockfile"];
  if (isWritable(homedir())) return await show(argv);
  const cache = mkdtempSync(`${tmpdir()}/mesh-install-`);
  try {
    return await show(argv, { BUN_INSTALL_CACHE_DIR: cache });
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
