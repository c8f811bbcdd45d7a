/** A certificate authority of our own that speaks ACME: pebble, by the people of Let's Encrypt, with names that all lead to loopback. */
import { writeFile } from "node:fs/promises";
import { type CertificatePair, selfSigned } from "./certificates.ts";
import { Child } from "./child.ts";
import { freePort } from "./ports.ts";
import { stranger } from "./strangers.ts";
import { tempDir } from "./temp-dir.ts";

export interface AcmeAuthority extends AsyncDisposable {
  readonly directory: string;
  /** What whoever asks it must trust. */
  readonly certificate: CertificatePair;
  readonly child: Child;
}

export interface AcmeOptions {
  /** Where it looks for proofs. */
  readonly tlsPort: number;
  /** How long its certificates last. */
  readonly validSeconds?: number;
}

export async function startAcme({ tlsPort, validSeconds = 86_400 }: AcmeOptions): Promise<AcmeAuthority> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const certificate = await selfSigned(folder, "acme", "DNS:localhost", "IP:127.0.0.1");
  const [port, dnsPort, managementPort] = [await freePort(), await freePort(), await freePort()];
  const plan = {
    pebble: {
      listenAddress: `127.0.0.1:${port}`,
      certificate: certificate.certificate,
      privateKey: certificate.key,
      httpPort: await freePort(),
      tlsPort,
      ocspResponderURL: "",
      externalAccountBindingRequired: false,
      certificateValidityPeriod: validSeconds,
    },
  };
  await writeFile(folder.at("pebble.json"), JSON.stringify(plan));
  const off = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
  const dns = [
    "-defaultIPv6",
    "",
    "-dns01",
    `127.0.0.1:${dnsPort}`,
    "-management",
    `127.0.0.1:${managementPort}`,
  ];
  stack.use(new Child(stranger("pebble-challtestsrv"), [...off, ...dns]));
  const child = stack.use(
    new Child(
      stranger("pebble"),
      ["-config", folder.at("pebble.json"), "-dnsserver", `127.0.0.1:${dnsPort}`],
      {
        env: { PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "0" },
      },
    ),
  );
  await child.waitForStdout(/ACME directory available/);
  const owned = stack.move();
  return {
    directory: `https://127.0.0.1:${port}/dir`,
    certificate,
    child,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
