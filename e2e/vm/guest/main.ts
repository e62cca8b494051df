import { unified } from "./cgroup.ts";
import { checksOn } from "./checks.ts";
import { run } from "./tools.ts";

const checks = checksOn(unified ? "v2" : "v1");
console.log(`1..${checks.length}`);
let failed = 0;
for (const [index, { name, check }] of checks.entries()) {
  const started = Date.now();
  try {
    await check();
    console.log(`ok ${index + 1} - ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok ${index + 1} - ${name}`);
    for (const line of String((error as Error).message).split("\n")) console.log(`# ${line}`);
  }
  console.log(`# ${Date.now() - started} ms`);
}
if (failed > 0) {
  const { stdout } = await run("journalctl", "--no-pager", "-o", "cat", "-u", "creeld", "-n", "40");
  const engine = await run("tail", "-n", "30", "/var/lib/creel/engine.log");
  for (const line of `${stdout}\n${engine.stdout}`.split("\n")) console.log(`# ${line}`);
}
