/**
 * serve/demo: an SSH server to try a gateway with.
 *
 * Law: a toy. It starts no process, opens no file and connects to nothing; it listens where it is told, which is loopback.
 */
export {
  demoGraceMs,
  type DemoUpstream,
  type DemoUpstreamOptions,
  maxDemoChannels,
  maxDemoConnections,
  serveConn,
  startDemoUpstream,
} from "./upstream.ts";
