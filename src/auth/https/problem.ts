/** What is wrong with an address that may only be https. */
export function problemOf(text: string, allowHttp: boolean): string | undefined {
  const url = URL.parse(text);
  if (url === null) return `"${text}" is no address: write https://host/path`;
  if (url.username !== "" || url.password !== "") return "can hold no name and password";
  if (url.hash !== "") return "can hold no #";
  if (url.protocol === "http:" && !allowHttp)
    return "must begin with https://: whoever is in between could log in as anybody";
  if (url.protocol !== "https:" && url.protocol !== "http:")
    return `cannot ask by ${url.protocol.slice(0, -1)}: write https://host/path`;
  return undefined;
}
