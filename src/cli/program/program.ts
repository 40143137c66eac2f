// Everything that `mesh` can be told to do, in the order in which help shows it.

import type { Program } from "../grammar/command.ts";
import { CACHE, CARING } from "./caring.ts";
import { MESHING } from "./meshing.ts";
import { READING } from "./reading.ts";
import { RUNNING } from "./running.ts";

export const PROGRAM: Program = {
  name: "mesh",
  summary: "mesh runs a graph of tasks, each in a container of its own, and never runs the same thing twice.",
  groups: [
    { title: "Run", commands: RUNNING },
    { title: "Look", commands: READING },
    { title: "Mesh", commands: MESHING },
    { title: "Cache", commands: CACHE },
    { title: "This machine", commands: CARING },
  ],
};
