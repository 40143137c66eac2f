// `mesh logs [RUN] TASK`: what a task printed, in order, standard error on standard error.

import { MeshError } from "../../base/errors.ts";
import { printable } from "../../base/text.ts";
import type { LogFrame } from "../../store/log-frames.ts";
import type { Archive, LogState, RunEntry } from "../archive.ts";
import type { CommandContext, Execute } from "../context.ts";
import { LogPrinter } from "../view/log-printer.ts";
import { findRun, findTask, runAndTask } from "../which-run.ts";

/** How often a log that grows is looked at. */
const FOLLOW_MS = 100;

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const { entry, task } = runAndTask(archive, args.words);
  findTask(archive.run(entry), task);
  const streams = [args.on("stdout") ? "stdout" : "", args.on("stderr") ? "stderr" : ""].filter(
    (stream) => stream !== "",
  );
  const printer = new LogPrinter({
    stdout: context.stdout,
    stderr: context.stderr,
    colours: { stdout: context.style.colour, stderr: context.errorStyle.colour },
    streams: new Set(streams.length === 0 ? ["stdout", "stderr"] : streams),
    timestamps: args.on("timestamps"),
    json: args.on("json"),
  });
  if (args.on("follow")) await follow(context, { archive, entry, task, printer });
  else printState(archive.log(entry, task, 0), task, printer);
  printer.end();
  return 0;
};

function printState(state: LogState, task: string, printer: LogPrinter): void {
  switch (state.kind) {
    case "whole":
    case "growing":
      printer.print(state.frames, state.startedAtMs);
      return;
    case "waiting":
      throw new MeshError("task.not-found", `Cannot show the log of ${printable(task)}: it has not started`, {
        hint: "`--follow` waits for it.",
      });
    case "none":
      throw new MeshError("task.not-found", `Cannot show the log of ${printable(task)}: it never ran`, {
        hint: `\`mesh explain ${printable(task)}\` says why.`,
      });
  }
}

interface Followed {
  readonly archive: Archive;
  readonly entry: RunEntry;
  readonly task: string;
  readonly printer: LogPrinter;
}

/** Prints what is there and what comes, until the task is over, the reader has gone or Ctrl-C is pressed. */
async function follow(context: CommandContext, { archive, entry, task, printer }: Followed): Promise<void> {
  let offset = 0;
  let printed = 0;
  while (!context.stdout.closed) {
    const state = archive.log(entry, task, offset);
    if (state.kind === "growing") {
      printer.print(state.frames, state.startedAtMs);
      printed += outputBytes(state.frames);
      offset = state.nextOffset;
    } else if (state.kind === "whole") {
      return printer.print(framesAfter(state.frames, printed), state.startedAtMs);
    } else if (state.kind === "none" || isOver(findRun(archive, entry.id))) {
      return printState(state, task, printer);
    }
    context.stdout.flush();
    await Bun.sleep(FOLLOW_MS);
  }
}

function isOver({ status, interrupted }: RunEntry): boolean {
  return interrupted || status.execution === "finished" || status.execution === "aborted";
}

/** What comes after the first `count` bytes of output. Dropped bytes count: they were printed while the log grew. */
export function framesAfter(frames: readonly LogFrame[], count: number): readonly LogFrame[] {
  let left = count;
  const after: LogFrame[] = [];
  for (const frame of frames) {
    const size = frame.kind === "output" ? frame.bytes.length : frame.droppedBytes;
    if (left >= size) left -= size;
    else {
      after.push(
        frame.kind === "output"
          ? { ...frame, bytes: frame.bytes.subarray(left) }
          : { ...frame, droppedBytes: size - left },
      );
      left = 0;
    }
  }
  return after;
}

function outputBytes(frames: readonly LogFrame[]): number {
  return frames.reduce((sum, frame) => sum + (frame.kind === "output" ? frame.bytes.length : frame.droppedBytes), 0);
}
