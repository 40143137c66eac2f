// `bun long-line.ts NEAR FAR MS`: two tap devices, and a line between them on which every frame takes MS milliseconds. It runs in
// the network namespace of a test's LAN until its input ends. Kernels with netem could do without it; not all have that.

import { dlopen, FFIType } from "bun:ffi";
import { closeSync, openSync, read, writeSync } from "node:fs";

const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;
/** Longer than any frame without offloading. */
const FRAME_BYTES = 65_536;
/** What a line of 100 ms holds at 1 Gbit/s; more is lost, as on real lines. */
const MOST_BYTES_UNDER_WAY = 16 * 1024 * 1024;

const { symbols: libc } = dlopen("libc.so.6", {
  ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
});

const [near, far, delayMs] = [Bun.argv[2], Bun.argv[3], Number(Bun.argv[4])];
if (near === undefined || far === undefined || !(delayMs >= 0)) throw new Error("Give NEAR FAR MS");
const [nearEnd, farEnd] = [openTap(near), openTap(far)];
carry(nearEnd, farEnd);
carry(farEnd, nearEnd);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

function openTap(name: string): number {
  const fd = openSync("/dev/net/tun", "r+");
  const request = new Uint8Array(IFREQ_BYTES);
  request.set(new TextEncoder().encode(name));
  new DataView(request.buffer).setInt16(IFREQ_FLAGS, IFF_TAP | IFF_NO_PI, true);
  if (libc.ioctl(fd, TUNSETIFF, request) === 0) return fd;
  closeSync(fd);
  throw new Error(`Cannot make the tap device ${name}`);
}

function carry(from: number, to: number): void {
  const buffer = new Uint8Array(FRAME_BYTES);
  let underWayBytes = 0;
  const next = () => {
    read(from, buffer, 0, buffer.length, null, (error, size) => {
      // Before its link is up a tap cannot be read.
      if (error !== null) return void setTimeout(next, 5);
      if (underWayBytes + size <= MOST_BYTES_UNDER_WAY) {
        const frame = buffer.slice(0, size);
        underWayBytes += size;
        setTimeout(() => {
          underWayBytes -= size;
          deliver(to, frame);
        }, delayMs);
      }
      next();
    });
  };
  next();
}

function deliver(to: number, frame: Uint8Array): void {
  try {
    writeSync(to, frame);
  } catch {
    // The other end is down: the frame is lost.
  }
}
