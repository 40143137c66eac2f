// DER (X.690): the few forms that a certificate needs, written and read strictly. It never knows what a certificate is.

/** Tags of the forms used here (X.690, 8.1.2). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Constructed and specific to its context: [0] and [3] of a TBSCertificate. */
  context0: 0xa0,
  context3: 0xa3,
} as const;

/** One element: tag, length in its shortest form, content. */
export function der(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concat(content);
  return concat([Uint8Array.of(tag, ...lengthBytes(body.length)), body]);
}

/** An element that was read, and where the next one begins. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
}

/** Reads elements one after another out of bytes that came from outside. Each method throws `RangeError` when they are not DER. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Reads an element, which must have this tag. */
  take(tag: number): Uint8Array {
    const element = this.next();
    if (element.tag !== tag) throw new RangeError(`tag ${element.tag} where ${tag} is due`);
    return element.content;
  }

  /** Reads whatever element comes. */
  next(): DerElement {
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw new RangeError("a tag of several bytes");
    const length = this.#length();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError("cut short");
    const content = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return { tag, content };
  }

  /** Says that nothing follows. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new RangeError("more than is due");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new RangeError("cut short");
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    if (first > 0x82 || first === 0x80) throw new RangeError("a length that is indefinite or too long");
    const length = first === 0x81 ? this.#byte() : this.#byte() * 256 + this.#byte();
    if (length < (first === 0x81 ? 0x80 : 0x100)) throw new RangeError("a length that is not in its shortest form");
    return length;
  }
}

function lengthBytes(length: number): readonly number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
