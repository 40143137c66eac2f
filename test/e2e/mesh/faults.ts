// What the tests of failures share: runs that are read event by event, nodes that are killed, and what may be left of either.

import type { LanHost } from "../../support/lan/lan.ts";
import type { RunJson } from "../harness.ts";
import type { Machine } from "./machines.ts";

export interface Ended {
  readonly run: RunJson;
  /** Tasks whose end was reported more often than their output was lost, plus once. */
  readonly twice: readonly string[];
}

export interface Started {
  readonly over: Promise<Ended>;
  /** Resolves with the machine at which a task has finished. */
  finishedAt(task: string): Promise<string>;
  /** Resolves with the machine at which a task was placed first. */
  placed(task: string): Promise<string>;
}

interface Line {
  readonly event?: string;
  readonly task?: string;
  readonly node?: string;
}

/** Starts a run on a machine and reads what it says. */
export async function startRun(machine: Machine, definition: string): Promise<Started> {
  machine.write("tasks.yml", definition);
  const child = await machine.spawn("run", "tasks.yml", "--json");
  const places = new Map<string, string>();
  const ends = new Map<string, number>();
  const waiting = new Map<string, PromiseWithResolvers<string>>();
  const waitFor = (what: string) => {
    const wait = waiting.get(what) ?? Promise.withResolvers<string>();
    waiting.set(what, wait);
    return wait;
  };
  const heed = ({ event, task, node }: Line) => {
    if (task === undefined) return;
    if (event === "task-placed" && node !== undefined) {
      places.set(task, node);
      waitFor(`placed ${task}`).resolve(node);
    }
    if (event === "output-lost") ends.set(task, (ends.get(task) ?? 0) - 1);
    if (event !== "task-finished") return;
    ends.set(task, (ends.get(task) ?? 0) + 1);
    waitFor(`finished ${task}`).resolve(places.get(task) ?? "");
  };
  const read = async (): Promise<Ended> => {
    const decoder = new TextDecoder();
    let rest = "";
    let last = "";
    for await (const chunk of child.stdout as unknown as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) heed(JSON.parse((last = line)) as Line);
    }
    const exitCode = await child.exited;
    if (!last.includes('"tasks":')) {
      const said = await new Response(child.stderr).text();
      const log = await machine.host.shell(`tail -c 2000 ${machine.home}/mesh/node.log || true`);
      throw new Error(`mesh run ended with ${exitCode} after ${JSON.stringify(last)}: ${said}\nIts node: ${log}`);
    }
    return {
      run: JSON.parse(last) as RunJson,
      twice: [...ends].filter(([, count]) => count > 1).map(([task]) => task),
    };
  };
  const over = read();
  over.catch(() => undefined);
  const before = async (what: string) =>
    await Promise.race([
      waitFor(what).promise,
      over.then(({ run }) => {
        const tasks = run.tasks.map(({ key, status, messages }) => `${key}: ${JSON.stringify([status, messages])}`);
        throw new Error(`The run is over and nothing says: ${what}\n${tasks.join("\n")}`);
      }),
    ]);
  return {
    over,
    finishedAt: async (task) => await before(`finished ${task}`),
    placed: async (task) => await before(`placed ${task}`),
  };
}

/** Kills a machine's node as a crash does. */
export async function killNode(machine: Machine): Promise<void> {
  const { running } = await machine.json<{ running: { pid: number } }>("service", "status");
  await machine.host.shell(`kill -9 ${running.pid}; while [ -e /proc/${running.pid}/fd ]; do sleep 0.01; done`);
}

/** A machine with a bad disk: it stands still most of a second, which is not long enough to be missed. */
export async function hiccup(host: LanHost): Promise<void> {
  host.freeze();
  await Bun.sleep(700);
  host.thaw();
  await Bun.sleep(150);
}

/** What a machine knows of a run that it coordinated; null when it cannot say. */
export async function resultsOf(machine: Machine, run: string): Promise<RunJson | null> {
  const { stdout } = await machine.try("results", run, "--json");
  return stdout.startsWith("{") ? (JSON.parse(stdout) as RunJson) : null;
}

/** Processes of tasks, mounts of contexts, and control groups and scratch folders of processes that are gone. */
export async function leftOn(machine: Machine): Promise<readonly string[]> {
  const text = await machine.host.shell(`
    for each in /proc/[0-9]*; do
      [ "$(cat $each/comm 2>/dev/null)" = sleep ] && tr '\\0' ' ' < $each/cmdline && echo
    done
    grep -F ${machine.home}/ /proc/self/mounts || true
    since=$(cut -d " " -f 22 /proc/1/stat)
    namespace=$(readlink /proc/self/ns/pid | tr -dc 0-9)
    find /sys/fs/cgroup -maxdepth 6 -type d -name "mesh-$namespace-*" 2>/dev/null | while read group; do
      owner=\${group##*/mesh-$namespace-}
      # an older one is of a namespace that had the same number
      [ \${owner##*-} -ge $since ] || continue
      [ -e /proc/\${owner%%-*} ] || echo "$group"
    done
    for each in ${machine.home}/tmp/*; do
      pid=\${each##*/}
      [ ! -e "$each" ] || [ -e /proc/\${pid%%[-.]*} ] || echo "$each"
    done
    true`);
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("sleep 0.01"));
}
