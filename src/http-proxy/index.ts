/**
 * http-proxy: a web address for each device: HTTP and WebSockets, by host name, through the device's tunnel.
 *
 * Law: Node's own parsers read HTTP on both sides, and nothing is passed on that they have not read. A page is seen by whom the approval
 * and the gateway's rules name: this room asks, and decides no rule. It opens no socket of its own.
 */
export { DeviceSite, type DeviceSitePorts } from "./device-site.ts";
export { ProgramSite } from "./program-site.ts";
export { type FrontPorts, SiteFront } from "./front.ts";
export { deviceOfHost } from "./host.ts";
export { ticketKey } from "./key.ts";
export { DeviceSignIn } from "./sign-in/device.ts";
export { type SignInConfig, signInSchema } from "./sign-in/schema.ts";
export { type HandedOver, type OtherSignIns, SignIns } from "./sign-in/sign-ins.ts";
export { SignInSite } from "./sign-in/site.ts";
export { callbackAt, type Seen, SignInSteps, type Step } from "./sign-in/steps.ts";
export type { Page } from "./pages.ts";
export { type SiteConfig, type SiteException, type WebConfig, webSchema } from "./schema.ts";
export type { Site } from "./site.ts";
