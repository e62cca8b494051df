import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Disk } from "../../src/disk.ts";
import { killProgram } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";
import { bombCases } from "./drivers/bombs.ts";
import { filesCases } from "./drivers/files.ts";
import { fullCases } from "./drivers/full.ts";
import { Own } from "./drivers/own.ts";

const FIRST = 100_000;
const DRIVERS: [driver: string, kind: Disk["kind"], megabytes: number][] = [
  ["overlay2", "ext4", 400],
  ["btrfs", "btrfs", 800],
  ["vfs", "ext4", 400],
];

for (const [driver, kind, megabytes] of DRIVERS) {
  describe(`with the storage driver ${driver},`, function () {
    this.timeout(180_000);
    const configFile = join(tmpdir(), `creel-drivers-${process.pid}-${driver}.json`);
    writeFileSync(configFile, JSON.stringify({ "storage-driver": driver }));
    const flags = ["--config-file", configFile];
    const fixture = useLab({ nodes: 1, join: false, disk: { kind, megabytes }, flags });
    const own = new Own(driver, fixture);
    after(() => rmSync(configFile, { force: true }));

    describe("files of containers", () => {
      before(() => loadUsual(own.lab));
      filesCases(own);
    });

    describe("archives that are bombs", () => {
      before(() => loadUsual(own.lab));
      bombCases(own);
    });

    describe("what needs room on a full disk", () => fullCases(own));

    describe("files of containers with users of their own", () => {
      before(async () => {
        const ids = join(own.lab.dir, "ids");
        writeFileSync(ids, `tester:${FIRST}:65536\n`);
        for (const file of ["/etc/subuid", "/etc/subgid"])
          own.lab.exec("node1", ["mount", "--bind", ids, file]);
        writeFileSync(configFile, JSON.stringify({ "storage-driver": driver, "userns-remap": "tester" }));
        await killProgram(own.lab, "node1", "creeld");
        await killProgram(own.lab, "node1", "engine");
        await until("containers have users of their own", async () =>
          (await own.cli.ok("info", "-f", "{{.SecurityOptions}}")).includes("name=userns"),
        );
        await own.cli.ok("image", "prune", "-a", "-f");
        await loadUsual(own.lab);
      });
      filesCases(own, FIRST);
    });
  });
}
