// node tunnel.ts web1 22 ada KEY known_hosts intranet:80: a tunnel with nothing read from anywhere but these words.
import { connect, forward, parseForward, parseTarget } from "postern";

const [host = "", port = "22", user = "", key = "", knownHosts = "", target = ""] = process.argv.slice(2);
const { host: to, port: toPort } = parseTarget(target);
const server = {
  host,
  port: Number(port),
  user,
  login: { keyFiles: [key] },
  hostKey: { knownHosts: [knownHosts] },
};

await using forwarding = await forward({
  connect: server,
  forwards: [parseForward("local", `0:${to}:${toPort}`)],
  onEvent(event) {
    if (event.event === "forwarding") console.log(`listening on ${event.listen}`);
    if (event.event === "lost") console.log(event.reason);
  },
});
console.log(forwarding.status);

// Or a single stream, without a local port:
await using connection = await connect(server);
const stream = await connection.openTcp({ host: to, port: toPort });
stream.end("hello");
for await (const chunk of stream) console.log(`the target says ${String(chunk)}`);
