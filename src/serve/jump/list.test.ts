import assert from "node:assert/strict";
import { test } from "node:test";
import { listJson, listText } from "./list.ts";

const targets = [
  { name: "web1", names: ["web1.gate.example"], tags: ["production", "web"] },
  { name: "database", names: [], tags: [] },
  { name: "lab", names: ["lab0"], tags: [], pattern: "lab[0-9]+" },
];

test("the list, for people", () => {
  assert.equal(
    listText(targets),
    "web1      web1.gate.example  #production  #web\ndatabase\nlab       lab0, names like lab[0-9]+\n",
  );
  assert.equal(listText([]), "");
});

test("the list, for programs", () => {
  assert.deepEqual(JSON.parse(listJson(targets)), { version: 1, targets });
  assert.deepEqual(JSON.parse(listJson([])), { version: 1, targets: [] });
});
