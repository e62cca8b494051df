import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const creel = join(import.meta.dirname, "../../bin/creel");

/** A line of a task as the daemon sends it. */
function framed(task: string, line: string): Buffer {
  const payload = Buffer.from(`com.docker.swarm.node.id=n1,com.docker.swarm.task.id=${task} ${line}\n`);
  const head = Buffer.alloc(8);
  head[0] = 1;
  head.writeUInt32BE(payload.length, 4);
  return Buffer.concat([head, payload]);
}

describe("creel service logs", () => {
  const dir = mkdtempSync(join(tmpdir(), "creel-cli-"));
  const socket = join(dir, "api.sock");
  /** What is asked for, and the answer: of anything else there is none. */
  const answers: Record<string, object | Buffer> = {
    "/services/web/logs": Buffer.concat([framed("gone", "early"), framed("here", "late")]),
    "/services/s1": { Spec: { Name: "web" } },
    "/tasks/here": { ServiceID: "s1", Slot: 1, NodeID: "n1" },
    "/nodes/n1": { Description: { Hostname: "node1" } },
  };
  const server = createServer((request, response) => {
    const answer = answers[new URL(request.url!, "http://d").pathname.replace(/^\/v[\d.]+/, "")];
    if (answer === undefined) response.writeHead(404).end('{"message":"not found"}');
    else if (!Buffer.isBuffer(answer)) response.end(JSON.stringify(answer));
    else response.end(answer);
  });
  before((done) => void server.listen(socket, done));
  after((done) => {
    server.close(done);
    rmSync(dir, { recursive: true, force: true });
  });

  it("tells the lines of a task that is removed meanwhile by its id", async () => {
    const child = spawn(creel, ["-H", `unix://${socket}`, "service", "logs", "web"]);
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    assert.deepEqual([out, err], ["gone@n1    | early\nweb.1.here@node1    | late\n", ""]);
  });

  it("ends with the cause where names cannot be asked for", async () => {
    answers["/nodes/n1"] = Buffer.from("no JSON");
    const child = spawn(creel, ["-H", `unix://${socket}`, "service", "logs", "web"]);
    const status = new Promise((resolve) => child.on("close", resolve));
    assert.match(await text(child.stderr), /^creel: [^\n]*JSON[^\n]*\n$/);
    assert.equal(await status, 1);
  });
});
