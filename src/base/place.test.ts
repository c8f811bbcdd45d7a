import assert from "node:assert/strict";
import { test } from "node:test";
import { Place } from "./place.ts";

test("addresses and ranges, with and without a port", () => {
  const rows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["192.0.2.1", ["192.0.2.1 22", "192.0.2.1 1"], ["192.0.2.2 22", "2001:db8::1 22"]],
    ["192.0.2.0/24", ["192.0.2.9 5"], ["192.0.3.1 5"]],
    ["192.0.2.1:2201", ["192.0.2.1 2201"], ["192.0.2.1 22"]],
    ["2001:db8::/64", ["2001:db8::5 22"], ["2001:db8:1::5 22", "192.0.2.1 22"]],
    ["2001:DB8:0::5", ["2001:db8::5 22"], ["2001:db8::6 22"]],
    ["[2001:db8::5]:2201", ["2001:db8::5 2201"], ["2001:db8::5 22"]],
    ["[2001:db8::]", ["2001:db8:: 7"], ["2001:db8::1 7"]],
    ["[2001:db8::/64]:22", ["2001:db8::5 22"], ["2001:db8::5 23"]],
    [":2201", ["192.0.2.1 2201", "::1 2201"], ["::1 22"]],
  ];
  for (const [text, inside, outside] of rows) {
    const place = new Place(text);
    const contains = (each: string): boolean => {
      const [ip = "", port = ""] = each.split(" ");
      return place.contains({ ip, port: Number(port) });
    };
    for (const each of inside) assert.equal(contains(each), true, `${text} ${each}`);
    for (const each of outside) assert.equal(contains(each), false, `${text} ${each}`);
    assert.equal(JSON.stringify(place), JSON.stringify(text));
  }
});

test("what is no address is refused", () => {
  for (const text of ["", "web1", ":", ":0", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:70000", "192.0.2.1/33"])
    assert.throws(() => new Place(text), { code: "OPERATOR_ADDRESS_INVALID" }, text);
});
