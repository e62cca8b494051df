import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../../tools/src/root.ts";
import { at, type Cli } from "../../src/cli.ts";
import { Recorder } from "../../src/recorder.ts";

const stack = (name: string) => join(root, "e2e/stacks/keys", name);
const ENV = { FROM_OUTSIDE: "yes", TAG: "2", COMPOSE_FILE: undefined };

/** Without what says nothing: docker writes empty parts out, creel leaves them away. */
function stripped(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(stripped).filter((item) => item !== undefined) as { Target?: string }[];
    // where files are laid over each other, docker sorts mounts and creel keeps their order
    if (items.every((item) => item.Target !== undefined))
      items.sort((a, b) => (a.Target! < b.Target! ? -1 : 1));
    return filled(items);
  }
  if (typeof value !== "object" || value === null) return value || undefined;
  const entries = Object.entries(value)
    .map(([key, inner]): [string, unknown] => [key, stripped(inner)])
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return filled(Object.fromEntries(entries));
}
const filled = (value: object) => (Object.keys(value).length > 0 ? value : undefined);

describe("compose files, by docker stack and creel", function () {
  this.timeout(180_000);
  let dir = "";
  let recorder: Recorder;
  let docker: Cli;
  let creel: Cli;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "ce-compose-"));
    recorder = await Recorder.listen(dir);
    docker = at("docker", recorder.socket, ENV);
    creel = at("creel", recorder.socket, ENV);
  });
  after(() => {
    recorder?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  for (const files of [["every-key.yaml"], ["every-key.yaml", "every-key.over.yaml"]]) {
    it(`ask the API for the same things: ${files.join(" and ")}`, async () => {
      const given = files.flatMap((name) => ["-c", stack(name)]);
      await docker.ok("stack", "deploy", "--detach", ...given, "shop");
      const wanted = recorder.take();
      await creel.ok("stack", "deploy", "--detach=true", ...given, "shop");
      const found = recorder.take();
      for (const { body } of found) {
        // docker 28.2 drops it without a word
        const task = body.TaskTemplate as { ContainerSpec: Record<string, unknown> } | undefined;
        delete task?.ContainerSpec.OomScoreAdj;
      }
      assert.ok(wanted.length >= 11, String(wanted.length));
      assert.deepEqual(
        found.map(({ path, body }) => `${path} ${body.Name}`),
        wanted.map(({ path, body }) => `${path} ${body.Name}`),
      );
      for (const [i, { path, body }] of wanted.entries())
        assert.deepEqual(stripped(found[i]!.body), stripped(body), `${path} ${body.Name}`);
    });
  }

  it("have the same config, which deploys to the same", async () => {
    const config = await creel.ok("stack", "config", "-c", stack("every-key.yaml"));
    const again = (await creel.run(["stack", "config", "-c", "-"], { input: config })).stdout.trimEnd();
    assert.equal(again, config);
    await creel.ok("stack", "deploy", "-d", "-c", stack("every-key.yaml"), "shop");
    const wanted = recorder.take();
    assert.equal(
      (await creel.run(["stack", "deploy", "-d", "-c", "-", "shop"], { input: config })).stderr,
      "",
    );
    assert.deepEqual(recorder.take(), wanted);
    const { code, stderr } = await docker.run(["stack", "deploy", "-d", "-c", "-", "shop"], {
      input: config,
    });
    assert.equal(code, 0, stderr);
    assert.equal(recorder.take().length, wanted.length);
  });
});
