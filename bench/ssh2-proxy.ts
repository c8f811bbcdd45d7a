/**
 * The rival that one would write first: a proxy on the public API of ssh2, which joins channels. Only what the cases need: public
 * key logins, `exec`, data both ways and the exit status. Run as a process of its own:
 *
 *   node ssh2-proxy.ts HOSTKEY UPSTREAM-HOST UPSTREAM-PORT USER IDENTITY
 *
 * Prints its port. BENCH_SSH2 is the folder of another ssh2.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import type { Duplex, Readable } from "node:stream";

/** As much of ssh2's types as is used here. */
interface Channel extends Duplex {
  readonly stderr: Duplex & Readable;
  exit(code: number): void;
}
interface AuthContext {
  readonly method: string;
  accept(): void;
  reject(methods: string[]): void;
}
interface Session {
  on(
    event: "exec",
    listener: (accept: () => Channel, reject: () => void, info: { command: string }) => void,
  ): void;
}
interface Connection {
  on(event: "authentication", listener: (context: AuthContext) => void): this;
  on(event: "ready" | "close", listener: () => void): this;
  on(event: "session", listener: (accept: () => Session) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  setNoDelay(on: boolean): void;
  end(): void;
}
interface Client {
  on(event: "ready" | "close", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  connect(options: Record<string, unknown>): void;
  exec(command: string, then: (error: Error | undefined, channel: Channel) => void): void;
  setNoDelay(on: boolean): void;
  end(): void;
}
interface Ssh2 {
  Client: new () => Client;
  Server: new (
    options: { hostKeys: Buffer[]; algorithms?: Record<string, unknown> },
    listener: (connection: Connection) => void,
  ) => { listen(port: number, host: string, then: () => void): void; address(): AddressInfo };
}

const { Client, Server } = createRequire(import.meta.url)(process.env["BENCH_SSH2"] ?? "ssh2") as Ssh2;
const [hostKey = "", host = "", port = "", username = "", identity = ""] = process.argv.slice(2);
const privateKey = readFileSync(identity);

const ciphers = ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"];
const server = new Server(
  { hostKeys: [readFileSync(hostKey)], algorithms: { cipher: ciphers } },
  (downstream) => {
    const upstream = new Client();
    downstream.setNoDelay(true);
    let ready = false;
    const waiting: (() => void)[] = [];
    upstream.on("ready", () => {
      ready = true;
      upstream.setNoDelay(true);
      for (const start of waiting) start();
    });
    upstream.on("error", () => downstream.end());
    upstream.on("close", () => downstream.end());
    downstream.on("error", () => upstream.end());
    downstream.on("close", () => upstream.end());
    downstream.on("authentication", (context) => {
      // Who may log in is not what is measured.
      if (context.method === "publickey") context.accept();
      else context.reject(["publickey"]);
    });
    downstream.on("ready", () =>
      upstream.connect({ host, port: Number(port), username, privateKey, algorithms: { cipher: ciphers } }),
    );
    downstream.on("session", (accept) => {
      accept().on("exec", (acceptExec, reject, { command }) => {
        const near = acceptExec();
        const start = (): void =>
          upstream.exec(command, (error, far) => {
            if (error !== undefined) reject();
            else join(near, far);
          });
        if (ready) start();
        else waiting.push(start);
      });
    });
  },
);

function join(near: Channel, far: Channel): void {
  near.pipe(far);
  far.pipe(near, { end: false });
  far.stderr.pipe(near.stderr, { end: false });
  far.on("exit", (code: number | null) => near.exit(code ?? 1));
  far.on("close", () => near.end());
}

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
