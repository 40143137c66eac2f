import { expect } from "bun:test";
import { chmodSync } from "node:fs";
import { dirname } from "node:path";
import { testIf } from "../support/require.ts";
import { CONTEXTS } from "../support/abilities.ts";
import { Project } from "./harness.ts";

/** A project on a machine whose driver says that it has one GPU. */
function projectWithGpu(): Project {
  const project = new Project();
  const program = project.write("bin/nvidia-smi", "#!/bin/sh\necho '0, GPU-aaaa, NVIDIA H200, 143771'\n");
  chmodSync(program, 0o755);
  project.environment["PATH"] = `${dirname(program)}:${project.environment["PATH"] ?? ""}`;
  return project;
}

testIf([...CONTEXTS, "binary"], "a task gets the GPU that it leases, one at a time", async () => {
  using project = projectWithGpu();
  const task = (key: string) => `
  - key: ${key}
    agent: { gpu: 1 }
    run: test "$CUDA_VISIBLE_DEVICES" = GPU-aaaa; sleep 0.2; echo ${key}`;
  const { code, run } = await project.run(`tasks:${task("one")}${task("two")}
  - key: plain
    run: test -z "\${CUDA_VISIBLE_DEVICES:-}"
  - key: model
    agent: { gpu: h200 }
    run: test -n "$CUDA_VISIBLE_DEVICES"
`);
  expect({ code, results: run.tasks.map(({ status }) => status.result) }).toEqual({
    code: 0,
    results: ["succeeded", "succeeded", "succeeded", "succeeded"],
  });
});

testIf(
  [...CONTEXTS, "binary"],
  "a task that asks for GPUs which the machine has not is refused with the reason",
  async () => {
    using project = projectWithGpu();
    const { code, err, run } = await project.run(`tasks:
  - key: many
    agent: { gpu: 2 }
    run: "true"
  - key: other
    agent: { gpu: a10g }
    run: "true"
`);
    const said = run.tasks.map(({ messages }) => messages.map(({ text }) => text).join());
    expect({ code, err }).toEqual({ code: 3, err: "" });
    expect(said[0]).toContain("asks for 2 GPU, has 1 in all");
    expect(said[1]).toContain("gpu:a10g");
  },
);
