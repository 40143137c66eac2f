// A process that claims in a store until it is told to end: `claims-child.ts HOME KEY HOLD_MS`. With HOLD_MS below 0 it takes the claim
// and never gives it back. Prints what each attempt answered.

import { type Digest, digestOf } from "../../../src/base/digest.ts";
import { Store } from "../../../src/store/io/store.ts";
import { resultOf } from "../support.ts";

const [home = "", keys = "", holdMs = "0"] = process.argv.slice(2);
using store = Store.open(home);
const capacity = { cpuMilli: 2_000, memoryBytes: 1_000, gpus: [] };
let executed = 0;
for (const name of keys.split(",")) {
  const key: Digest = digestOf(name);
  for (;;) {
    const claim = store.claims.claim({
      key,
      owner: store.claims.owner("run", name),
      cpuMilli: 1_000,
      memoryBytes: 10,
      gpus: 0,
      gpuMemoryBytes: null,
      capacity,
      nowMs: Date.now(),
    });
    if (claim.kind === "hit") break;
    if (claim.kind === "granted") {
      if (Number(holdMs) < 0) {
        console.log("holding");
        await new Promise(() => setInterval(() => {}, 1_000));
      }
      await Bun.sleep(Number(holdMs));
      executed++;
      store.results.put(resultOf(key, { node: String(process.pid) }), {}, null);
      store.claims.release(claim.id);
      break;
    }
    await Bun.sleep(1);
  }
}
console.log(executed);
