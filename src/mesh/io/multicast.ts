// The door to bonjour-service: one responder on one network interface, which announces a service and asks for others.
// It never judges what it hears, and never fails: what is wrong with multicast is said to `onFault`.

import type { Service } from "bonjour-service";

export interface ResponderOptions {
  /** Address of the interface that it works on: IPv4, or IPv6 with the interface's name behind a "%". */
  readonly address: string;
  /** All addresses of the interface, which are announced there. */
  readonly hosts: readonly string[];
  readonly onHeard: (heard: Heard) => void;
  readonly onFault: (reason: string) => void;
}

/** A service as it was heard of; nothing of it is checked. */
export interface Heard {
  readonly port: number;
  readonly entries: readonly Uint8Array[];
  /** The packet's sender first. */
  readonly hosts: readonly string[];
}

export interface Published {
  /** Unique on the network. */
  readonly name: string;
  readonly port: number;
  readonly txt: Readonly<Record<string, string>>;
}

export interface Responder {
  /** Announces, in place of what it announced before. */
  publish(published: Published): void;
  /** Asks who is there. Answers also come unasked. */
  query(mostAnswers: number): void;
  /** Says goodbye, waits until that is sent or a short time has passed, and closes. */
  close(): Promise<void>;
}

type Record_ = ReturnType<Service["records"]>[number];

/** What bonjour-service keeps to itself: its responder, whose errors would otherwise be thrown out of an event. */
interface Inside {
  readonly server: {
    readonly mdns: {
      on(event: "error" | "warning", listener: (error: Error) => void): void;
      respond(records: readonly Record_[], done?: () => void): void;
    };
    register(records: readonly Record_[]): void;
    unregister(records: readonly Record_[]): void;
  };
}

const TYPE = "mesh";
const GOODBYE_MS = 200;

export async function openResponder({ address, hosts, onHeard, onFault }: ResponderOptions): Promise<Responder> {
  const { Bonjour, Service: PublishedService } = await import("bonjour-service");
  const isIpv6 = address.includes(":");
  const zone = address.split("%")[1] ?? "";
  // An interface alone would bind the socket to its address, which multicast does not reach.
  const options = isIpv6
    ? { type: "udp6", ip: `ff02::fb%${zone}`, interface: `::%${zone}`, bind: "::" }
    : { interface: address, bind: "0.0.0.0" };
  const bonjour = new Bonjour(options, (error: Error) => onFault(error.message));
  const { server } = bonjour as unknown as Inside;
  server.mdns.on("error", (error) => onFault(error.message));
  server.mdns.on("warning", () => undefined); // Packets of others that cannot be read.
  let browser: ReturnType<typeof bonjour.find> | null = null;
  let records: readonly Record_[] = [];
  let isClosed = false;

  const hear = (service: Service & { readonly rawTxt?: unknown }) => {
    const { rawTxt, port, referer, addresses = [] } = service;
    if (!Array.isArray(rawTxt)) return;
    const entries = rawTxt.filter((entry) => entry instanceof Uint8Array);
    const sender = referer === undefined ? [] : [referer.address];
    onHeard({ port, entries, hosts: [...sender, ...addresses] });
  };

  return {
    publish({ name, port, txt }) {
      server.unregister(records);
      const service = new PublishedService({ name, type: TYPE, port, txt, host: `${name}.local` }, nothing, nothing);
      // What is announced on a network are the addresses on it (RFC 6762, 6.2).
      records = service
        .records()
        .filter(({ type, data }) => !["A", "AAAA"].includes(type) || hosts.includes(String(data)));
      server.register(records);
      server.mdns.respond(records);
    },
    query(mostAnswers) {
      // A fresh browser tells of everybody again, and forgets who is gone.
      browser?.stop();
      const current = bonjour.find({ type: TYPE });
      browser = current;
      const listen = (service: Service) => {
        hear(service);
        if (current.services.length >= mostAnswers) current.stop();
      };
      current.on("up", listen);
      current.on("txt-update", listen);
      current.on("srv-update", listen);
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      browser?.stop();
      const goodbye = records.map((record) => ({ ...record, ttl: 0 }));
      if (goodbye.length > 0) {
        const sent = Promise.withResolvers<void>();
        const timer = setTimeout(sent.resolve, GOODBYE_MS);
        server.mdns.respond(goodbye, sent.resolve);
        await sent.promise;
        clearTimeout(timer);
      }
      const closed = Promise.withResolvers<void>();
      const timer = setTimeout(closed.resolve, GOODBYE_MS);
      bonjour.destroy(closed.resolve);
      await closed.promise;
      clearTimeout(timer);
    },
  };
}

function nothing(): void {
  // Starting and stopping are the responder's business here.
}
