/**
 * How long a refusal takes, seen by a client of its own that sends one wrong proof on each connection: from the request, or from the
 * answer to the last question, so that neither the handshake nor a process is in it.
 */
import { connect } from "node:net";
import { Slow } from "#ssh/algorithms";
import { generatePrivateKey } from "#ssh/keys";
import {
  decodeInfoRequest,
  encodeInfoResponse,
  encodeServiceRequest,
  encodeUserauthRequest,
  MSG,
  type UserauthMethod,
  userauthSignedData,
} from "#ssh/messages";
import { payloadOf } from "#ssh/transport";
import type { Gateway } from "#test/support/gateway";
import { link } from "#test/support/links";

export type Wrong = (user: string, sessionId: Uint8Array) => Promise<UserauthMethod>;

const service = "ssh-connection";
const key = generatePrivateKey("ssh-ed25519");

export const wrongKey: Wrong = async (user, sessionId) => {
  const algorithm = "ssh-ed25519";
  const data = userauthSignedData(sessionId, { user, service, algorithm, key: key.blob });
  const made = key.sign(algorithm, data);
  const signature = made instanceof Slow ? await made.run() : made;
  return { method: "publickey", algorithm, key: key.blob, signature };
};

/** Asks about a key, and proves nothing. */
export const askedKey: Wrong = async () => ({ method: "publickey", algorithm: "ssh-ed25519", key: key.blob });

export const wrongPassword: Wrong = async () => ({ method: "password", password: Buffer.from("wrong") });

/** Whatever is asked is answered with six digits. */
export const wrongAnswers: Wrong = async () => ({
  method: "keyboard-interactive",
  languageTag: "",
  submethods: "",
});

export interface Told {
  /** Milliseconds from the request to the first question; undefined: nothing was asked. */
  readonly question: number | undefined;
  /** Milliseconds from the request, or the last answer, to the refusal. */
  readonly refusal: number;
}

/** One wrong proof. Rejects if it was not refused. */
export async function refused(gateway: Gateway, user: string, wrong: Wrong): Promise<Told> {
  const client = link(connect(gateway.port, gateway.host), "client");
  try {
    await client.established;
    const method = await wrong(user, client.sessionId);
    return await new Promise<Told>((resolve, reject) => {
      let sentMs = 0;
      let question: number | undefined;
      client.attach({
        packet: (packet) => {
          const payload = payloadOf(packet);
          const [number] = payload;
          if (number === MSG.SERVICE_ACCEPT) {
            client.send(encodeUserauthRequest({ ...method, user, service }));
            sentMs = performance.now();
          } else if (number === MSG.USERAUTH_INFO_REQUEST) {
            question ??= performance.now() - sentMs;
            const { prompts } = decodeInfoRequest(payload);
            client.send(encodeInfoResponse(prompts.map(() => Buffer.from("123456"))));
            sentMs = performance.now();
          } else if (number === MSG.USERAUTH_FAILURE)
            resolve({ question, refusal: performance.now() - sentMs });
          else if (number !== MSG.USERAUTH_BANNER) reject(new Error(`message ${number}`));
        },
        closed: ({ kind }) => reject(new Error(`the connection ended: ${kind}`)),
      });
      client.send(encodeServiceRequest("ssh-userauth"));
    });
  } finally {
    client.destroy();
  }
}
