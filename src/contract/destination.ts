/** What the client asked for, by a name outside SSH (an entry point's); never trusted before a rule allowed it. */
export interface Destination {
  readonly host: string;
  readonly port?: number;
}
