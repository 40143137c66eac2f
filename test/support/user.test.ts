import { expect } from "bun:test";
import { testIf } from "./require.ts";
import { asOrdinaryUser, ordinaryUser } from "./user.ts";

testIf("ordinary-user", "asOrdinaryUser() runs a program without root's identity", () => {
  const { stdout } = Bun.spawnSync([...asOrdinaryUser(["id", "-u"])], { stdin: "ignore" });
  expect(stdout.toString()).toBe(`${ordinaryUser().uid}\n`);
  expect(ordinaryUser().uid).not.toBe(0);
});
