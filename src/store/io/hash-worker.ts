// Worker thread that hashes the large files of shared jobs. An entry point of its own in the compiled binary.

import { HashJob, type PackedJob } from "./hash-job.ts";

declare const self: { onmessage: ((event: { readonly data: PackedJob }) => void) | null };

self.onmessage = (event) => {
  const job = new HashJob(event.data);
  try {
    while (!job.isDone) {
      if (!job.workAside()) job.sleep();
    }
  } catch (error) {
    job.stop();
    throw error;
  } finally {
    job.close();
  }
};
