// node server.ts PUBLIC-KEY-LINE: an SSH server that lets one key in and answers every command with its own words.
import { createServer } from "node:net";
import {
  ConnectionMux,
  decodeExecRequest,
  defaultAlgorithms,
  generatePrivateKey,
  Link,
  parsePublicKeyLine,
  payloadOf,
  systemClock,
  systemRandom,
  UserauthServer,
} from "postern/ssh";

const friend = parsePublicKeyLine(process.argv[2] ?? "").key;
const hostKey = generatePrivateKey("ssh-ed25519");
const signatureAlgorithms = ["ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"];

/** RFC 4254 from here on: channels are streams. */
function converse(link: Link): void {
  new ConnectionMux(link, {
    channels: new Map([
      [
        "session",
        (offer) => {
          const channel = offer.accept({
            request({ type, data }) {
              if (type !== "exec") return false;
              channel.end(`you said: ${Buffer.from(decodeExecRequest(data)).toString()}\n`);
              void channel.finish({ status: 0 });
              return true;
            },
          });
          channel.resume();
        },
      ],
    ]),
  });
}

const server = createServer({ pauseOnConnect: true }, (socket) => {
  const link = new Link(socket, {
    role: "server",
    version: "SSH-2.0-Example",
    algorithms: defaultAlgorithms,
    extensions: new Map([["server-sig-algs", Buffer.from(signatureAlgorithms.join())]]),
    hostKeys: [hostKey],
    random: systemRandom,
    clock: systemClock,
    handshakeMs: 30_000,
  });
  link.established.then(
    ({ sessionId, hostKey: shown }) => {
      const send = (payload: Uint8Array): void => link.send(payload);
      const login = new UserauthServer({
        send,
        sessionId,
        hostKey: shown,
        signatureAlgorithms,
        maxAttempts: 6,
      });
      link.attach({
        packet(packet) {
          const event = login.receive(payloadOf(packet));
          if (event?.kind !== "attempt") return;
          const { attempt } = event;
          const known = attempt.method === "publickey" && Buffer.from(attempt.blob).equals(friend.blob);
          if (!known) login.reject(["publickey"]);
          else if (attempt.proof === "none") login.acceptKey();
          else if (attempt.proof === "invalid") login.reject(["publickey"]);
          else {
            login.accept();
            converse(link);
          }
        },
        closed: () => login.end(),
      });
    },
    () => socket.destroy(),
  );
});
server.listen(0, "127.0.0.1", () => console.log("listening", server.address()));
