import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { createBody } from "../src/commands/container/create-body.ts";
import { duration, port, size } from "../src/commands/options.ts";
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
    assert.deepEqual(port("127.0.0.1:80:8080/udp"), {
      protocol: "udp",
      target: 8080,
      published: 80,
      hostIp: "127.0.0.1",
      mode: "ingress",
    });
    assert.equal(port("published=80,target=8080,mode=host").mode, "host");
    assert.throws(() => port("80:eighty"), /invalid port/);
    assert.throws(() => port("70000"), /invalid port/);
  });
  it("reads filters and pairs", () => {
    assert.deepEqual(filters(["label=a=b", "label=c"]), { filters: '{"label":["a=b","c"]}' });
    assert.throws(() => filters(["label"]), /bad format of filter/);
    assert.deepEqual(pairs(["a=1=2", "b"]), { a: "1=2", b: "" });
  });
  it("writes what run was given into the request", () => {
    const body = createBody("app", ["a"], {
      publish: [port("80:8080")],
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
