export { createDeviceServer, type DeviceServerPorts } from "./device.ts";
export { setUpText } from "./set-up.ts";
