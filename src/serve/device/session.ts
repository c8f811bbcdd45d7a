import type { Certified, Device } from "#contract";
import type { Channel, IncomingRequest } from "#ssh/connection";
import { decodeExecRequest } from "#ssh/messages";
import { renewalText, type SetUp, setUpText } from "./set-up.ts";

export interface DeviceChannelParts {
  device(): Device | undefined;
  /** Why it cannot be that device; undefined: it is. */
  become(name: string): Promise<string | undefined>;
  /** A certificate for it, which is a device. */
  certify(): Promise<Certified>;
  readonly setUp: SetUp;
}

/** What a device may ask for once it is one; no newcomer has these names by saying them. */
const words = { certificate: "certificate", renewal: "renewal" } as const;

const statusFailed = 1;

/** A session channel of a device: no shell, and one command: the name that it is to have, or what it fetches. Prints what it needs to come back by itself. */
export class DeviceChannel {
  readonly #channel: Channel;
  readonly #parts: DeviceChannelParts;
  #started = false;

  constructor(channel: Channel, parts: DeviceChannelParts) {
    this.#channel = channel;
    this.#parts = parts;
  }

  request({ type, data }: IncomingRequest): boolean {
    if (type === "pty-req" || type === "env" || type === "window-change") return type === "pty-req";
    if ((type !== "shell" && type !== "exec") || this.#started) return false;
    this.#started = true;
    const name = type === "exec" ? Buffer.from(decodeExecRequest(data)).toString("utf8").trim() : "";
    void this.#run(name);
    return true;
  }

  async #run(name: string): Promise<void> {
    // The reply to the request leaves before the first byte of output.
    await Promise.resolve();
    this.#channel.resume();
    const [status, out, err] = await this.#answer(name).catch(
      () => [statusFailed, "", "The gateway made an error.\n"] as const,
    );
    if (err !== "") this.#channel.stderr.write(err.replaceAll("\n", "\r\n"));
    if (out !== "") this.#channel.write(out);
    await this.#channel.finish({ status });
  }

  async #answer(name: string): Promise<readonly [status: number, out: string, err: string]> {
    const { setUp } = this.#parts;
    const isWord = name === words.certificate || name === words.renewal;
    if (this.#parts.device() === undefined) {
      if (isWord) return [statusFailed, "", "This is no device yet: ssh USER@GATE NAME makes it one.\n"];
      if (name === "")
        return [
          statusFailed,
          "",
          "Say the device's name: ssh USER@GATE NAME, or ssh -N -R NAME:22:localhost:22 USER@GATE.\n",
        ];
      const refusal = await this.#parts.become(name);
      if (refusal !== undefined)
        return [statusFailed, "", `This cannot be ${JSON.stringify(name)}: ${refusal}.\n`];
    }
    const known = this.#parts.device();
    if (known === undefined) return [statusFailed, "", "This is no device.\n"];
    if (name === words.certificate) return await this.#certificate();
    if (name !== words.renewal) return [0, setUpText(known, setUp), ""];
    if (setUp.certificateSeconds === undefined)
      return [statusFailed, "", "There is nothing to renew: this gateway gives no certificates.\n"];
    return [0, renewalText(known, setUp), ""];
  }

  async #certificate(): Promise<readonly [status: number, out: string, err: string]> {
    const certified = await this.#parts.certify();
    return certified.kind === "certificate"
      ? [0, `${certified.line}\n`, ""]
      : [statusFailed, "", `There is no certificate: ${certified.reason}.\n`];
  }
}
