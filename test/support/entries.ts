import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { connect, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import { startGateway, type Gateway, type Pieces } from "./gateway.ts";
import { startSshd, type Sshd } from "./sshd.ts";
import { tempDir } from "./temp-dir.ts";
import { bareKey, makeKey, type KeyFiles } from "./test-keys.ts";
import { writeFile } from "node:fs/promises";

/** A gateway with two targets behind it, spliced to. */
export interface EntryWorld extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly sshd: Sshd;
  readonly second: Sshd;
  readonly identity: KeyFiles;
  /** A known_hosts file with the targets' own keys, under their names. */
  readonly knownHosts: string;
}

export interface EntryWorldOptions {
  /** The first listener, without its address. */
  readonly listener: Pieces;
  readonly rules?: readonly Pieces[] | ((identity: KeyFiles, sshds: readonly Sshd[]) => readonly Pieces[]);
  readonly config?: Pieces;
  /** More targets. */
  readonly more?: readonly Pieces[];
  /** Name of a target that leads to the first sshd, and whose SSH ends at the gateway. */
  readonly terminated?: string;
  /** Addresses of the gateway's that are its. */
  readonly terminatedAt?: readonly string[];
  /** More names for the first target. */
  readonly names?: readonly string[];
}

export async function startEntryWorld(options: EntryWorldOptions): Promise<EntryWorld> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const identity = makeKey(folder.at("id"), "ed25519");
  const start = async (name: string): Promise<Sshd> =>
    stack.use(await startSshd({ config: [`SetEnv TARGET=${name}`], authorizedKeys: [identity.publicLine] }));
  const sshd = await start("web1");
  const second = await start("web2");
  const knownHosts = folder.at("known_hosts");
  const key = ({ hostKeys }: Sshd): string => bareKey(hostKeys[0]?.publicLine ?? "");
  await writeFile(knownHosts, `web1 ${key(sshd)}\nweb2 ${key(second)}\n`);
  const gateway = stack.use(
    await startGateway({
      config: {
        listen: [{ address: "127.0.0.1:0", ...options.listener }],
        targets: [
          { name: "web1", names: options.names ?? [], host: "127.0.0.1", port: sshd.port },
          { name: "web2", host: "127.0.0.1", port: second.port },
          { name: "gone", host: "127.0.0.1", port: 1 },
          { name: "secret", host: "127.0.0.1", port: sshd.port },
          ...(options.terminated === undefined
            ? []
            : [
                {
                  name: options.terminated,
                  mode: "terminate",
                  host: "127.0.0.1",
                  port: sshd.port,
                  ...(options.terminatedAt === undefined ? {} : { at: options.terminatedAt }),
                },
              ]),
          ...(options.more ?? []),
        ],
        ...options.config,
      },
      rules: (typeof options.rules === "function"
        ? options.rules(identity, [sshd, second])
        : options.rules) ?? [
        {
          name: "splice",
          mode: "splice",
          match: { from: ["127.0.0.0/8"] },
          targets: ["web1", "web2", "gone"],
        },
      ],
    }),
  );
  const owned = stack.move();
  return {
    gateway,
    sshd,
    second,
    identity,
    knownHosts,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** An OpenSSH that can name its target in the version line (10.0 and later), if there is one. */
export function newOpenSsh(): string | undefined {
  const given = process.env["OPENSSH10"];
  const candidates = [
    ...(given === undefined ? [] : [given]),
    ...(process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "ssh")),
  ];
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
    } catch {
      return false;
    }
    const { stderr } = spawnSync(file, ["-V"], { encoding: "utf8" });
    return Number(/OpenSSH_(\d+)/.exec(stderr)?.[1] ?? 0) >= 10;
  });
}

/** A bare TCP client of the gateway. */
export async function dialGateway({ host, port }: Gateway, from?: string): Promise<Socket> {
  const socket = connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) });
  socket.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

/** All that comes until the other side ends, or `enough` of it has come. */
export async function read(socket: Socket, enough: (text: string) => boolean = () => false): Promise<string> {
  let text = "";
  return await new Promise((resolve) => {
    const done = (): void => resolve(text);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (enough(text)) done();
    });
    socket.on("end", done);
    socket.on("close", done);
  });
}
