/** What one peer can make us hold, where we are an end of its connection. */
export interface ConnectionLimits {
  /** Channels at once, opened by either side, those not yet answered included. Beyond it an open is refused with RESOURCE_SHORTAGE. */
  readonly maxChannels: number;
  /** Requests of the peer that wait for an answer, per channel, and global ones apart. Beyond it: PEER_REQUESTS_FLOODED. */
  readonly maxUnansweredRequests: number;
  /**
   * Answers, window adjustments and the like sent while the connection is not writable. Beyond it nothing more is read until it
   * is: a peer that asks without reading the answers waits.
   */
  readonly maxSentWhileFull: number;
  /** Bytes of receive window, and so the most that a channel with a reader that stops holds. As OpenSSH: 64 packets. */
  readonly windowBytes: number;
  /** Bytes of data in one message that we allow the peer, and the most we send in one. As OpenSSH. */
  readonly maxPacketBytes: number;
}

export const defaultConnectionLimits: ConnectionLimits = {
  maxChannels: 256,
  maxUnansweredRequests: 256,
  maxSentWhileFull: 1024,
  windowBytes: 64 * 32 * 1024,
  maxPacketBytes: 32 * 1024,
};
