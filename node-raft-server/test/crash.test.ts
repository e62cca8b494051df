import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Runs the proposer until it has acknowledged `count`, then kills it; what it found at its start, what it acknowledged. */
async function run(dir: string, count: number): Promise<{ found: string[]; acknowledged: string[] }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "crash.child.ts"), dir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let found: string[] = [];
  const acknowledged: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("start ")) found = line.slice(6).split(",").filter(Boolean);
    else acknowledged.push(line);
    if (acknowledged.length === count) child.kill("SIGKILL");
  }
  return { found, acknowledged };
}

describe("a node that is killed", function () {
  this.timeout(90_000);

  it("has everything it acknowledged when it starts again", async () => {
    const dir = mkdtempSync(join(tmpdir(), "creel-raft-crash-"));
    try {
      const expected = new Set<string>();
      for (let round = 0; round < 6; round += 1) {
        const { found, acknowledged } = await run(join(dir, "raft"), 150 + round * 37);
        assert.equal(new Set(found).size, found.length, "nothing is there twice");
        const missing = [...expected].filter((n) => !found.includes(n));
        assert.deepEqual(missing, [], `round ${round}`);
        for (const n of [...found, ...acknowledged]) expected.add(n);
      }
      assert.ok(expected.size >= 1000);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
