/** What becomes of the value of a keyword. */
export type KeywordForm =
  /** The first word of the first line that is in force. */
  | "word"
  /** All words of the first line in force. */
  | "words"
  /** The first word of each line in force. */
  | "each"
  /** All words of all lines in force. */
  | "all"
  /** All that follows the keyword, as written. */
  | "command"
  /** Two words, or one: a forwarding; each line in force. */
  | "forward";

/** Keywords that mean something here, in lower case. */
export const keywords: ReadonlyMap<string, KeywordForm> = new Map<string, KeywordForm>([
  ["addressfamily", "word"],
  ["batchmode", "word"],
  ["bindaddress", "word"],
  ["certificatefile", "each"],
  ["ciphers", "word"],
  ["clearallforwardings", "word"],
  ["connecttimeout", "word"],
  ["dynamicforward", "each"],
  ["exitonforwardfailure", "word"],
  ["forwardagent", "word"],
  ["forwardx11", "word"],
  ["forwardx11timeout", "word"],
  ["forwardx11trusted", "word"],
  ["globalknownhostsfile", "words"],
  ["hashknownhosts", "word"],
  ["hostkeyalgorithms", "word"],
  ["hostkeyalias", "word"],
  ["hostname", "word"],
  ["identitiesonly", "word"],
  ["identityagent", "word"],
  ["identityfile", "each"],
  ["kbdinteractiveauthentication", "word"],
  ["kexalgorithms", "word"],
  ["localforward", "forward"],
  ["macs", "word"],
  ["passwordauthentication", "word"],
  ["port", "word"],
  ["preferredauthentications", "word"],
  ["proxycommand", "command"],
  ["proxyjump", "word"],
  ["pubkeyauthentication", "word"],
  ["remotecommand", "command"],
  ["remoteforward", "forward"],
  ["requesttty", "word"],
  ["sendenv", "all"],
  ["serveralivecountmax", "word"],
  ["serveraliveinterval", "word"],
  ["setenv", "words"],
  ["streamlocalbindunlink", "word"],
  ["stricthostkeychecking", "word"],
  ["user", "word"],
  ["userknownhostsfile", "words"],
  ["versionaddendum", "command"],
  ["xauthlocation", "word"],
]);

/** Keywords of ssh_config(5) by other names. */
export const aliases: ReadonlyMap<string, string> = new Map([
  ["challengeresponseauthentication", "kbdinteractiveauthentication"],
  ["skeyauthentication", "kbdinteractiveauthentication"],
  ["tisauthentication", "kbdinteractiveauthentication"],
  ["identityfile2", "identityfile"],
  ["pubkeyacceptedkeytypes", "pubkeyacceptedalgorithms"],
  ["dsaauthentication", "pubkeyauthentication"],
]);

/** Keywords of ssh_config(5) that change nothing here: a line with another word deserves a notice. */
export const idleKeywords: ReadonlySet<string> = new Set(
  `addkeystoagent bindinterface canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots
  canonicalizepermittedcnames casignaturealgorithms channeltimeout checkhostip compression connectionattempts
  controlmaster controlpath controlpersist enableescapecommandline enablesshkeysign escapechar fingerprinthash forkafterauthentication
  gatewayports gssapiauthentication gssapidelegatecredentials
  gssapikeyexchange gssapiclientidentity gssapiserveridentity gssapirenewalforcesrekey gssapitrustdns gssapikexalgorithms
  hostbasedacceptedalgorithms hostbasedauthentication hostbasedkeytypes ignoreunknown ipqos kbdinteractivedevices knownhostscommand
  localcommand loglevel logverbose nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming permitlocalcommand
  permitremoteopen pkcs11provider proxyusefdpass pubkeyacceptedalgorithms refuseconnection rekeylimit requiredrsasize
  revokedhostkeys rsaauthentication securitykeyprovider sessiontype stdinnull streamlocalbindmask syslogfacility tag tcpkeepalive
  tunnel tunneldevice updatehostkeys useblacklistedkeys usekeychain useprivilegedport useroaming verifyhostkeydns visualhostkey
  warnweakcrypto protocol cipher rhostsrsaauthentication fallbacktorsh usersh smartcarddevice`.split(/\s+/),
);
