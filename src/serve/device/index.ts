export { createDeviceServer, type DeviceServerPorts } from "./device.ts";
