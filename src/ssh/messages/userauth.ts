import { Buffer } from "node:buffer";
import { Reader, Writer } from "#ssh/wire";
import { MSG } from "./numbers.ts";

/** SSH_MSG_USERAUTH_REQUEST (RFC 4252, section 5), its method's own fields decoded (sections 7, 8; RFC 4256, section 3.1). */
export type UserauthRequest = { readonly user: string; readonly service: string } & UserauthMethod;

export type UserauthMethod =
  | { readonly method: "none" }
  | { readonly method: "password"; readonly password: Uint8Array; readonly newPassword?: Uint8Array }
  | {
      readonly method: "publickey";
      readonly algorithm: string;
      readonly key: Uint8Array;
      /** Absent: the client only asks whether this key would do. */
      readonly signature?: Uint8Array;
      /** Set for publickey-hostbound-v00@openssh.com: the host key that the client saw (PROTOCOL of OpenSSH, section 3.1). */
      readonly hostKey?: Uint8Array;
    }
  | { readonly method: "keyboard-interactive"; readonly submethods: string }
  | { readonly method: "other"; readonly name: string };

const hostbound = "publickey-hostbound-v00@openssh.com";

export function encodeUserauthRequest(request: UserauthRequest): Uint8Array {
  const writer = new Writer().u8(MSG.USERAUTH_REQUEST).string(request.user).string(request.service);
  switch (request.method) {
    case "none":
      return writer.string("none").bytes();
    case "password":
      writer
        .string("password")
        .bool(request.newPassword !== undefined)
        .string(request.password);
      if (request.newPassword !== undefined) writer.string(request.newPassword);
      return writer.bytes();
    case "publickey":
      writer
        .string(request.hostKey === undefined ? "publickey" : hostbound)
        .bool(request.signature !== undefined)
        .string(request.algorithm)
        .string(request.key);
      if (request.hostKey !== undefined) writer.string(request.hostKey);
      if (request.signature !== undefined) writer.string(request.signature);
      return writer.bytes();
    case "keyboard-interactive":
      return writer.string("keyboard-interactive").string("").string(request.submethods).bytes();
    case "other":
      return writer.string(request.name).bytes();
  }
}

export function decodeUserauthRequest(payload: Uint8Array): UserauthRequest {
  const reader = new Reader(payload, 1);
  const user = reader.text();
  const service = reader.ascii();
  const method = reader.ascii();
  const request = decodeMethod(reader, method);
  if (request.method !== "other") reader.expectEnd();
  return { user, service, ...request };
}

function decodeMethod(reader: Reader, method: string): UserauthMethod {
  switch (method) {
    case "none":
      return { method };
    case "password": {
      const change = reader.bool();
      const password = Uint8Array.from(reader.string());
      return change
        ? { method, password, newPassword: Uint8Array.from(reader.string()) }
        : { method, password };
    }
    case "publickey":
    case hostbound: {
      const signed = reader.bool();
      const algorithm = reader.ascii();
      const key = Uint8Array.from(reader.string());
      return {
        method: "publickey",
        algorithm,
        key,
        ...(method === hostbound ? { hostKey: Uint8Array.from(reader.string()) } : {}),
        ...(signed ? { signature: Uint8Array.from(reader.string()) } : {}),
      };
    }
    case "keyboard-interactive": {
      reader.string(); // language tag, deprecated
      return { method, submethods: reader.text() };
    }
    default:
      return { method: "other", name: method };
  }
}

/**
 * What a public key proof is made over (RFC 4252, section 7): the session identifier and the request without its signature.
 */
export function userauthSignedData(
  sessionId: Uint8Array,
  request: {
    readonly user: string;
    readonly service: string;
    readonly algorithm: string;
    readonly key: Uint8Array;
    readonly hostKey?: Uint8Array;
  },
): Uint8Array {
  const writer = new Writer(512)
    .string(sessionId)
    .u8(MSG.USERAUTH_REQUEST)
    .string(request.user)
    .string(request.service)
    .string(request.hostKey === undefined ? "publickey" : hostbound)
    .bool(true)
    .string(request.algorithm)
    .string(request.key);
  if (request.hostKey !== undefined) writer.string(request.hostKey);
  return writer.bytes();
}

/** SSH_MSG_USERAUTH_FAILURE (RFC 4252, section 5.1). */
export interface UserauthFailure {
  readonly methods: readonly string[];
  readonly partialSuccess: boolean;
}

export function encodeUserauthFailure(message: UserauthFailure): Uint8Array {
  return new Writer().u8(MSG.USERAUTH_FAILURE).nameList(message.methods).bool(message.partialSuccess).bytes();
}

export function decodeUserauthFailure(payload: Uint8Array): UserauthFailure {
  const reader = new Reader(payload, 1);
  const methods = reader.nameList();
  const partialSuccess = reader.bool();
  reader.expectEnd();
  return { methods, partialSuccess };
}

export function encodeUserauthSuccess(): Uint8Array {
  return Uint8Array.of(MSG.USERAUTH_SUCCESS);
}

/** SSH_MSG_USERAUTH_BANNER (RFC 4252, section 5.4). */
export function encodeUserauthBanner(text: string): Uint8Array {
  return new Writer().u8(MSG.USERAUTH_BANNER).string(text).string("").bytes();
}

/** Broken UTF-8 is mended, not refused: a banner is for eyes only. */
export function decodeUserauthBanner(payload: Uint8Array): string {
  const reader = new Reader(payload, 1);
  const text = Buffer.from(reader.string()).toString("utf8");
  reader.string();
  return text;
}

/** SSH_MSG_USERAUTH_PK_OK (RFC 4252, section 7). */
export interface PublicKeyOk {
  readonly algorithm: string;
  readonly key: Uint8Array;
}

export function encodePublicKeyOk(message: PublicKeyOk): Uint8Array {
  return new Writer(512).u8(MSG.USERAUTH_PK_OK).string(message.algorithm).string(message.key).bytes();
}

export function decodePublicKeyOk(payload: Uint8Array): PublicKeyOk {
  const reader = new Reader(payload, 1);
  const algorithm = reader.ascii();
  const key = Uint8Array.from(reader.string());
  reader.expectEnd();
  return { algorithm, key };
}

/** SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252, section 8): the prompt. */
export function encodePasswordChangeRequest(prompt: string): Uint8Array {
  return new Writer().u8(MSG.USERAUTH_PASSWD_CHANGEREQ).string(prompt).string("").bytes();
}

export function decodePasswordChangeRequest(payload: Uint8Array): string {
  const reader = new Reader(payload, 1);
  const prompt = reader.text();
  reader.string();
  reader.expectEnd();
  return prompt;
}

/** SSH_MSG_USERAUTH_INFO_REQUEST (RFC 4256, section 3.2). */
export interface InfoRequest {
  readonly name: string;
  readonly instruction: string;
  readonly prompts: readonly Prompt[];
}

export interface Prompt {
  readonly text: string;
  readonly echo: boolean;
}

/** OpenSSH's own bound on prompts of one round. */
export const maxPrompts = 100;

export function encodeInfoRequest(message: InfoRequest): Uint8Array {
  const writer = new Writer()
    .u8(MSG.USERAUTH_INFO_REQUEST)
    .string(message.name)
    .string(message.instruction)
    .string("")
    .u32(message.prompts.length);
  for (const prompt of message.prompts) writer.string(prompt.text).bool(prompt.echo);
  return writer.bytes();
}

export function decodeInfoRequest(payload: Uint8Array): InfoRequest {
  const reader = new Reader(payload, 1);
  const name = reader.text();
  const instruction = reader.text();
  reader.string();
  const count = Math.min(reader.u32(), maxPrompts + 1);
  const prompts: Prompt[] = [];
  for (let n = 0; n < count; n++) prompts.push({ text: reader.text(), echo: reader.bool() });
  reader.expectEnd();
  return { name, instruction, prompts };
}

/** SSH_MSG_USERAUTH_INFO_RESPONSE (RFC 4256, section 3.4). */
export function encodeInfoResponse(responses: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer().u8(MSG.USERAUTH_INFO_RESPONSE).u32(responses.length);
  for (const response of responses) writer.string(response);
  return writer.bytes();
}

export function decodeInfoResponse(payload: Uint8Array): Uint8Array[] {
  const reader = new Reader(payload, 1);
  const count = Math.min(reader.u32(), maxPrompts + 1);
  const responses: Uint8Array[] = [];
  for (let n = 0; n < count; n++) responses.push(Uint8Array.from(reader.string()));
  reader.expectEnd();
  return responses;
}
