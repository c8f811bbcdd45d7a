import assert from "node:assert/strict";
import { test } from "node:test";
import { installPlan } from "./install.ts";
import { agentSchema } from "./schema.ts";

const file = {
  name: "kiosk7",
  gates: [{ address: "gate.example", fingerprints: [`SHA256:${"A".repeat(43)}`] }],
  forwards: [{ port: 22, to: "localhost:22" }],
};
const options = {
  configFile: "/etc/postern/agent.yaml",
  program: "/usr/local/bin/postern",
  user: "postern-agent",
};

test("an account and a unit; a rule of polkit only where there is a unit to restart", () => {
  const paths = (restart: readonly string[], user = "postern-agent"): string[] =>
    installPlan(agentSchema.parse({ ...file, service: { port: 80, restart } }), { ...options, user }).map(
      ({ path }) => path,
    );
  const unit = "/etc/systemd/system/postern-agent.service";
  assert.deepEqual(paths([]), [unit, "/etc/sysusers.d/postern-agent.conf"]);
  assert.deepEqual(paths(["nginx.service"]).at(-1), "/etc/polkit-1/rules.d/60-postern-agent.rules");
  assert.deepEqual(paths(["nginx.service"], "root"), [unit]);
});

test("paths with blanks, quotes and specifiers stand for themselves in the unit", () => {
  const [unit] = installPlan(agentSchema.parse({ ...file, stateDir: "/srv/a b" }), {
    ...options,
    configFile: '/etc/a "b" 100%/$x.yaml',
  });
  assert.match(
    unit?.text ?? "",
    /^ExecStart=\/usr\/local\/bin\/postern agent -c "\/etc\/a \\"b\\" 100%%\/\$\$x\.yaml"$/m,
  );
  assert.match(unit?.text ?? "", /^ReadWritePaths="\/srv\/a b"$/m);
});
