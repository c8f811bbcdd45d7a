/**
 * tunnel: a stream through the tunnel that a device holds.
 *
 * Law: asks for the tunnel by the device's name; knows no rule, no SSH and no authority.
 */
export { createTunnelDialer } from "./tunnel.ts";
