/**
 * device: machines that hold tunnels.
 *
 * Law: finds out whose key it is and what it shows besides; the authority alone decides what it may be.
 */
export { device, type DeviceLoginConfig } from "./device.ts";
