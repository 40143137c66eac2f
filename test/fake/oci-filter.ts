// A twin of the kernel's interpreter of classic BPF, as far as seccomp filters use it.

/** What a filter answers to a call: "allow", or the errno. */
export function askFilter(
  program: Uint8Array,
  call: { readonly number: number; readonly audit: number; readonly arguments?: readonly number[] },
): "allow" | number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.audit, true);
  for (const [index, argument] of (call.arguments ?? []).entries()) data.setUint32(16 + 8 * index, argument, true);
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const code = view.getUint16(at * 8, true);
    const [ifTrue, ifFalse, operand] = [
      view.getUint8(at * 8 + 2),
      view.getUint8(at * 8 + 3),
      view.getUint32(at * 8 + 4, true),
    ];
    const jump = (test: boolean) => void (at += test ? ifTrue : ifFalse);
    switch (code) {
      case 0x20:
        accumulator = data.getUint32(operand, true);
        break;
      case 0x15:
        jump(accumulator === operand);
        break;
      case 0x35:
        jump(accumulator >= operand);
        break;
      case 0x45:
        jump((accumulator & operand) !== 0);
        break;
      case 0x05:
        at += operand;
        break;
      case 0x06:
        if (operand === 0x7fff0000) return "allow";
        if (operand >>> 16 === 5) return operand & 0xffff;
        throw new Error(`unexpected answer 0x${operand.toString(16)}`);
      default:
        throw new Error(`unexpected instruction 0x${code.toString(16)}`);
    }
  }
  throw new Error("the filter ends without an answer");
}
