import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { startSshd, type Sshd, type SshdOptions } from "./sshd.ts";
import { stranger } from "./strangers.ts";
import { tempDir } from "./temp-dir.ts";

/** A service of PAM's that real passwords open; needs root. */
export interface PamService extends AsyncDisposable {
  /** An sshd that uses it, with these AuthenticationMethods. */
  sshd(methods: string, options?: SshdOptions): Promise<Sshd>;
}

let serial = 0;

/** PAM knows a service by the name of the program that asks, so sshd gets a name of its own. */
export async function startPamService(): Promise<PamService> {
  serial += 1;
  const service = `postern-test-${process.pid}-${serial}`;
  const folder = await tempDir();
  writeFileSync(
    `/etc/pam.d/${service}`,
    ["auth", "account", "password"].map((kind) => `${kind} required pam_unix.so\n`).join("") +
      "session required pam_permit.so\n",
  );
  const program = folder.at(service);
  symlinkSync(stranger("sshd"), program);
  writeFileSync(folder.at("banner"), "Authorised people only.\n");
  return {
    sshd: (methods, options = {}) =>
      startSshd({
        program,
        ...options,
        config: [
          "UsePAM yes",
          "KbdInteractiveAuthentication yes",
          "PasswordAuthentication yes",
          `Banner ${folder.at("banner")}`,
          `AuthenticationMethods ${methods}`,
          ...(options.config ?? []),
        ],
      }),
    [Symbol.asyncDispose]: async () => {
      rmSync(`/etc/pam.d/${service}`, { force: true });
      await folder[Symbol.asyncDispose]();
    },
  };
}
