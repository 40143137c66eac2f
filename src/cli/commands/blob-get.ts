// `mesh blob get DIGEST`: a blob, from this machine or from those that have it.

import { parseDigest, shortDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { type Execute, printJson } from "../context.ts";

export const execute: Execute = async (context, args) => {
  const digest = asDigest(args.words[0] ?? "");
  const output = args.text("output");
  if (args.on("json") && output === null)
    throw new MeshError("usage.invalid", "Cannot print JSON and the blob at once: name a file with --output");
  const stop = new AbortController();
  context.onInterrupt(() => stop.abort());
  const blobs = await context.blobs();
  let receivedBytes = 0;
  if (!blobs.has(digest)) {
    if ((await (await context.seat()).membership()) === null)
      throw new MeshError(
        "blob.missing",
        `Cannot find blob ${shortDigest(digest)} here, and this machine is in no mesh`,
        {
          hint: "`mesh blob ls` lists the blobs of this machine.",
        },
      );
    const service = await context.service();
    ({ receivedBytes } = await service.fetch([{ kind: "blob", digest }], stop.signal));
  }
  const sizeBytes = await blobs.copyTo(digest, output === null ? context.stdout : output);
  if (args.on("json")) printJson(context, { digest, sizeBytes, receivedBytes, output });
  return 0;
};

/** Throws `usage.invalid`. */
export function asDigest(text: string): ReturnType<typeof parseDigest> {
  try {
    return parseDigest(text.startsWith("sha256:") ? text : `sha256:${text}`);
  } catch (cause) {
    throw new MeshError(
      "usage.invalid",
      `Cannot read ${JSON.stringify(text)} as a digest: sha256: and 64 hex digits are expected`,
      { cause },
    );
  }
}
