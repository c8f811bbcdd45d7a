/**
 * syslog: the audit to a syslog server.
 *
 * Law: RFC 5424 over the network; a server that is away holds up nobody.
 */
export { syslog, type SyslogConfig } from "./syslog.ts";
