import type { Cidr, Endpoint, Pattern } from "#base";
import type { Duplex } from "node:stream";
import type { Arrival } from "./arrival.ts";
import type { Reached } from "./reach.ts";
import type { NameEntry, SpliceRoute, TargetQuery, WantedProof } from "./target.ts";
import type { WebDesk } from "./web.ts";

/** What one listener takes, told apart by the first bytes. `ssh` logs in here; the others bring the name of a target. */
export type EntryName = "ssh" | Exclude<NameEntry, "jump">;

/** One listening address and what is spoken there. */
export interface ListenPlan {
  readonly endpoint: Endpoint;
  readonly entries: readonly EntryName[];
  /** Peers that say by the PROXY protocol for whom they connect: they must, and nobody else can. */
  readonly proxyFrom: readonly Cidr[];
  /** How long a silent client is waited for before we speak. */
  readonly silentMs: number;
  /** Over the comment of a client's version line; its group `name` is the target. */
  readonly versionComment: Pattern;
  /** Whether clients whose TLS ends here are asked for a certificate. */
  readonly clientCertificate: "off" | "asked" | "required";
  /** Web pages that may open WebSockets: `https://shell.example.com`. Programs that are no browsers send no origin. */
  readonly origins: readonly string[];
  /** It is one device's alone: whoever connects is joined with that, and nothing else is taken. */
  readonly device?: DevicePort;
}

/** A port of a device for which one of ours is reserved. */
export interface DevicePort {
  readonly device: string;
  readonly port: number;
  /** Networks that may connect. */
  readonly from: readonly Cidr[];
}

/** A certificate for TLS with its chain, and its key; both PEM. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** TLS that ends here. */
export interface TlsPlan {
  readonly certificates: readonly CertificateFiles[];
  /** Names of the gateway itself: inside their TLS is what the listener takes without it. */
  readonly gatewayNames: readonly string[];
  /** PEM of the authorities that vouch for clients. Absent: nobody is asked for a certificate. */
  readonly clientAuthorities?: string;
  /** Absent: there are no certificates but those of files. */
  readonly acme?: AcmePlan;
}

/** How certificates are ordered by ACME. */
export interface AcmePlan {
  /** Address of the authority's directory. */
  readonly directory: string;
  readonly agree: true;
  readonly email?: string;
  /** Ordered at once, in lower case. */
  readonly names: readonly string[];
  readonly ordersPerHour: number;
  readonly maxNames: number;
}

/** A certificate with its chain, and its key: PEM. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

/** Certificates that are ordered when they are needed. */
export interface OrderedCertificates {
  /** Without a name: of the gateway itself. May wait for an order. Undefined: the name is none of ours, or nothing can be had now. */
  find(name: string | undefined, signal: AbortSignal): Promise<CertificatePair | undefined>;
  /** What TLS shows to the authority while it asks whether the name is ours (RFC 8737). */
  proof(name: string): Promise<CertificatePair | undefined>;
}

/** A name and a password, as a client of HTTP gives them. */
export interface ShownLogin {
  readonly user: string;
  readonly password: Uint8Array;
}

/** What a client asks for, and what it has shown. */
export interface TargetQuestion extends Pick<TargetQuery, "entry" | "name" | "port" | "certificate"> {
  readonly login?: ShownLogin;
}

/** No, for whatever reason; and what the client could show to be asked again. That depends on anything but the name it gave. */
export interface TargetRefusal {
  readonly mode: "refused";
  readonly wants: readonly WantedProof[];
}

/** What the reception asks the gateway. */
export interface ReceptionDesk extends WebDesk {
  /** A wrong password is answered no sooner than any other. */
  ask(question: TargetQuestion): Promise<SpliceRoute | TargetRefusal>;
  /** For who joins the client with its targets itself; given up when `client` closes. Throws UPSTREAM_ and DENIED_ errors. */
  open(route: SpliceRoute, client: Duplex): Promise<Reached>;
}

export type Received =
  /** Somebody who logs in here. */
  | { readonly kind: "session"; readonly stream: Duplex }
  /** Somebody who is to be joined with a target. */
  | {
      readonly kind: "splice";
      /** As it came. */
      readonly stream: Duplex;
      readonly route: SpliceRoute;
      readonly entry: NameEntry;
      /** Tells the client that it is joined. The bytes of the stream that it gives are the target's from then on. */
      connected(): Duplex;
      /** Tells the client, in the words of its protocol, that the target cannot be had. Absent: the client speaks SSH. */
      readonly failed?: (text: string) => void;
    }
  /** Somebody whose requests are each answered out of a target, one after the other, until the end. */
  | {
      readonly kind: "served";
      readonly stream: Duplex;
      readonly entry: NameEntry;
      readonly ended: Promise<void>;
    }
  /** No. `tell` is false when the client has been told; else it speaks SSH and is to be told so. */
  | { readonly kind: "refused"; readonly stream: Duplex; readonly tell: boolean; readonly reason: string };

/** Finds out what a stream speaks, and whom it is for. */
export interface Reception extends AsyncDisposable {
  /** False: it is plain SSH for us, with nothing to find out. */
  takes(arrival: Arrival): boolean;
  /** Throws PEER_ errors for what is nothing that this listener takes. */
  receive(arrival: Arrival, desk: ReceptionDesk): Promise<Received>;
}
