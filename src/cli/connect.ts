import { parsePort } from "#base";
import type { GateWay } from "#client";
import { Command, Option } from "commander";
import type { Duplex } from "node:stream";
import { type ClientOptions, resolved, withClientOptions } from "./client-options.ts";
import type { CliContext } from "./context.ts";
import { cliErrors, Interrupted } from "./errors.ts";
import { examples } from "./examples.ts";
import { onStop } from "./forward.ts";
import { type GateCommandOptions, gateWithLogin, streamWays, tlsOf, withGateOptions } from "./via.ts";

interface ConnectCommandOptions extends ClientOptions, GateCommandOptions {
  readonly via: GateWay | "jump" | "version" | "host-header";
}

const sshPort = 22;

export function connectCommand(context: CliContext): Command {
  const command = new Command("connect")
    .summary("join stdin and stdout to a host behind a gate: a ProxyCommand")
    .description(
      "A ProxyCommand for gates: Postern, HAProxy, any HTTP proxy, any SSH server. It says to the gate which host is meant, and copies bytes. SSH stays end to end.",
    )
    .argument("<gate>", "host:port; a URL with user for connect and websocket; [user@]host[:port] for jump")
    .argument("<name>", "the host that is meant: %h or %n")
    .argument("[port]", "its port: %p", String(sshPort))
    .addOption(
      new Option("--via <way>", "how the gate is told")
        .choices([...streamWays, "jump", "version", "host-header"])
        .default("sni"),
    );
  return withClientOptions(withGateOptions(command))
    .addHelpText(
      "after",
      examples(
        "ssh -o ProxyCommand='postern connect gate.example.com:443 %h %p' ada@web1",
        "postern connect --via connect --proxy-user ada proxy.example.com:3128 web1 22",
        "postern connect --via jump ada@gate.example.com web1 22",
      ),
    )
    .action(async (gate: string, name: string, portText: string, options: ConnectCommandOptions) => {
      const port = parsePort(portText);
      if (port === undefined || port === 0)
        throw new cliErrors.OPERATOR_COMMAND_LINE(`"${portText}" is no port: a port is 1 to 65535.`);
      const stop = new AbortController();
      using _signals = onStop(context, () => stop.abort());
      try {
        await using opened = await openStream(gate, { host: name, port }, options, context, stop.signal);
        await copyBothWays(opened.stream, context, stop.signal);
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
      if (stop.signal.aborted) throw new Interrupted();
    });
}

interface Opened extends AsyncDisposable {
  readonly stream: Duplex;
}

async function openStream(
  gateText: string,
  to: { readonly host: string; readonly port: number },
  options: ConnectCommandOptions,
  context: CliContext,
  signal: AbortSignal,
): Promise<Opened> {
  const { via } = options;
  if (via === "version" || via === "host-header") {
    throw new cliErrors.OPERATOR_COMMAND_FAILED(
      `${via} is part of the SSH client's own first words, which a ProxyCommand cannot say for it: use "postern ssh --via ${via} --gate ${gateText} ${to.host}"${via === "version" ? ", or VersionAddendum of OpenSSH 10" : ""}.`,
    );
  }
  const client = await import("#client");
  if (via === "jump") {
    const connection = await client.connect({ ...(await resolved(gateText, options, context)), signal });
    try {
      const stream = await connection.openTcp(to);
      return { stream, [Symbol.asyncDispose]: () => connection.close() };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }
  const gate = await gateWithLogin(client.parseGate(gateText, via), options, context);
  const stream = await client.openGate({ way: via, gate, to, tls: await tlsOf(options), signal });
  return { stream, [Symbol.asyncDispose]: async () => void stream.destroy() };
}

/** Until the far end has ended; that stdin has ended is told to it and ends nothing else. */
export async function copyBothWays(
  stream: Duplex,
  { stdin, stdout }: CliContext,
  signal: AbortSignal,
): Promise<void> {
  const over = Promise.withResolvers<void>();
  stdin.on("data", (chunk: Uint8Array) => {
    if (!stream.write(chunk)) stdin.pause();
  });
  stdin.once("end", () => stream.end());
  stdin.once("error", () => stream.end());
  stream.on("drain", () => stdin.resume());
  stream.on("data", (chunk: Uint8Array) => {
    if (!stdout.write(chunk)) stream.pause();
  });
  stdout.on("drain", () => stream.resume());
  stdout.once("error", () => over.resolve());
  stream.once("end", () => stdout.write("", () => over.resolve()));
  stream.once("close", () => over.resolve());
  stream.on("error", () => over.resolve());
  stream.resume();
  signal.addEventListener("abort", () => over.resolve(), { once: true });
  await over.promise;
  stdin.pause();
  stdin.removeAllListeners("data");
}
