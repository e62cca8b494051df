import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { createBody } from "../src/commands/container/create-body.ts";
import { keyBytes } from "../src/commands/container/terminal.ts";
import { duration, ports, ratio, size } from "../src/commands/options.ts";
import { filters, pairs } from "../src/commands/words.ts";
import { bytes, span } from "../src/output/words.ts";
import { demultiplex } from "../src/rest/frames.ts";

describe("words", () => {
  it("tells spans as Docker does", () => {
    assert.equal(span(100), "Less than a second");
    assert.equal(span(1000), "1 second");
    assert.equal(span(65_000), "About a minute");
    assert.equal(span(3 * 3600_000), "3 hours");
    assert.equal(span(3 * 86_400_000), "3 days");
  });
  it("tells bytes in decimal units", () => {
    assert.equal(bytes(0), "0B");
    assert.equal(bytes(1234567), "1.23MB");
  });
});

describe("options", () => {
  it("reads sizes, durations and ports", () => {
    assert.equal(size("1.5g"), 1610612736);
    assert.throws(() => size("lots"));
    assert.equal(duration("1m30s"), 90e9);
    assert.throws(() => duration("soon"));
    const [udp] = ports("127.0.0.1:80:8080/udp");
    assert.deepEqual(udp, {
      protocol: "udp",
      target: 8080,
      published: 80,
      hostIp: "127.0.0.1",
      mode: "ingress",
    });
    assert.equal(ports("published=80,target=8080,mode=host")[0]!.mode, "host");
    assert.equal(ports("[::1]:80:8080")[0]!.hostIp, "::1");
    assert.deepEqual(
      ports("8080-8082:80-82").map(({ published, target }) => [published, target]),
      [
        [8080, 80],
        [8081, 81],
        [8082, 82],
      ],
    );
    const [free] = ports("80-82:80");
    assert.deepEqual([free?.published, free?.publishedEnd, free?.target], [80, 82, 80]);
    for (const bad of [
      "80:eighty",
      "70000",
      "80-82:80-81",
      "82-80",
      "80/icmp",
      "published=80",
      "nope=1,target=1",
    ])
      assert.throws(() => ports(bad), /invalid|PUBLISHED|ranges/i, bad);
    assert.equal(ratio("0.5"), 0.5);
    assert.throws(() => ratio("2"));
  });
  it("reads detach keys", () => {
    assert.deepEqual([...keyBytes("ctrl-p,ctrl-q")], [16, 17]);
    assert.deepEqual([...keyBytes("a,ctrl-@,ctrl-\\")], [97, 0, 28]);
    assert.throws(() => keyBytes("ctrl-p,escape"), /unknown key "escape"/);
  });
  it("reads filters and pairs", () => {
    assert.deepEqual(filters(["label=a=b", "label=c"]), { filters: '{"label":["a=b","c"]}' });
    assert.throws(() => filters(["label"]), /bad format of filter/);
    assert.deepEqual(pairs(["a=1=2", "b"]), { a: "1=2", b: "" });
  });
  it("writes what run was given into the request", () => {
    const body = createBody("app", ["a"], {
      publish: ports("80:8080"),
      interactive: true,
      restart: "on-failure:3",
      rm: true,
    });
    const { HostConfig, ...config } = body as {
      HostConfig: Record<string, unknown>;
      Cmd: string[];
      OpenStdin: boolean;
    };
    assert.deepEqual(config.Cmd, ["a"]);
    assert.equal(config.OpenStdin, true);
    assert.deepEqual(HostConfig.PortBindings, { "8080/tcp": [{ HostIp: "", HostPort: "80" }] });
    assert.deepEqual(HostConfig.RestartPolicy, { Name: "on-failure", MaximumRetryCount: 3 });
  });
});

describe("frames", () => {
  it("come apart however they are cut", async () => {
    const all = (stream: PassThrough) => {
      let text = "";
      for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) text += chunk;
      return text;
    };
    const frame = (kind: number, text: string) => {
      const header = Buffer.from([kind, 0, 0, 0, 0, 0, 0, 0]);
      header.writeUInt32BE(Buffer.byteLength(text), 4);
      return Buffer.concat([header, Buffer.from(text)]);
    };
    const whole = Buffer.concat([frame(1, "out"), frame(2, "err"), frame(1, ""), frame(1, "put")]);
    for (let cut = 1; cut < whole.length; cut++) {
      const [source, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
      source.write(whole.subarray(0, cut));
      source.end(whole.subarray(cut));
      await demultiplex(source, stdout, stderr);
      assert.equal(all(stdout), "output");
      assert.equal(all(stderr), "err");
    }
  });
});
