import assert from "node:assert/strict";
import { type ErrorCode, isCreelError, seededRandom, systemClock } from "@creel/shared";
import type { SecretReference, SecretSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { RaftStatus } from "node-raft-server";
import type { Change, ControlContext } from "../../src/control/change.ts";
import { createData, removeData, rotateData, updateData } from "../../src/control/data.ts";
import { createService, updateService } from "../../src/control/services.ts";
import { CONFIGS, type DataKind, SECRETS } from "../../src/data.ts";
import { Store } from "../../src/store/mod.ts";
import { aReference, aServiceSpec, aTaskSpec } from "../support/specs.ts";

const spec = (name: string, change: Partial<SecretSpec> = {}): SecretSpec => ({
  name,
  labels: {},
  templating: undefined,
  ...change,
});
const value = (text: string) => Buffer.from(text);

describe("secrets and configs", () => {
  let store: Store;
  let index: number;
  beforeEach(() => {
    store = new Store();
    index = 0;
  });

  const context = (): ControlContext => ({
    view: store.view(),
    raft: {} as RaftStatus,
    clock: systemClock,
    random: seededRandom(++index),
  });
  const make = (change: Change) => {
    assert.deepEqual(store.apply({ time: index, actions: change.actions }, ++index).refusals, []);
    return change.id;
  };
  const refused = (code: ErrorCode, text: RegExp, change: () => Change) =>
    assert.throws(change, (error: unknown) => {
      assert.ok(isCreelError(error, code), `${error}`);
      assert.match(error.message, text);
      return true;
    });
  const create = (name: string, kind: DataKind = SECRETS) =>
    make(createData(kind, spec(name), value("one"), context()));
  const withSecrets = (...secrets: SecretReference[]) =>
    aServiceSpec("web", 1, { task: aTaskSpec({ container: { image: "web", secrets } }) });

  for (const kind of [SECRETS, CONFIGS]) {
    it(`holds a ${kind.word}'s name and size to their rules`, () => {
      const attempt = (name: string, data: Buffer) => () => createData(kind, spec(name), data, context());
      refused("invalid_parameter", /name must be provided/, attempt("", value("x")));
      for (const name of ["-a", "a-", "a b", "a/b", "x".repeat(65)])
        refused("invalid_parameter", /invalid name, only 64/, attempt(name, value("x")));
      const size = new RegExp(`${kind.word} data must be larger than 0 and less than ${kind.limit} bytes`);
      refused("invalid_parameter", size, attempt("a", value("")));
      refused("invalid_parameter", size, attempt("a", Buffer.alloc(kind.limit)));
      make(createData(kind, spec("a.b-c_d"), Buffer.alloc(kind.limit - 1), context()));
    });

    it(`changes nothing of a ${kind.word} but its labels`, () => {
      const id = create("key", kind);
      const version = () => kind.get(store.view(), id)!.meta!.version;
      const update = (change: Partial<SecretSpec>, data = "") =>
        updateData(kind, { id, version: version(), spec: spec("key", change), data: value(data) }, context());
      make(update({ labels: { a: "b" } }, "one"));
      assert.deepEqual(kind.get(store.view(), id)!.spec!.labels, { a: "b" });
      assert.equal(String(kind.get(store.view(), id)!.revisions[0]!.data), "one");
      assert.deepEqual(update({ labels: { a: "b" } }, "one").actions, [], "nothing changes");
      refused("invalid_parameter", /only updates to Labels are allowed/, () => update({}, "two"));
      refused("invalid_parameter", /only updates to Labels are allowed/, () => update({ name: "other" }));
      refused("out_of_sequence", /out of sequence/, () =>
        updateData(kind, { id, version: version() - 1, spec: spec("key"), data: value("") }, context()),
      );
    });
  }

  it("takes no template that cannot be read, and repeats none of a secret's", () => {
    const templated = (kind: DataKind, text: string) => () =>
      createData(kind, spec("t", { templating: { name: "golang", options: {} } }), value(text), context());
    refused("invalid_parameter", /expanding config t failed: .*unclosed action/, templated(CONFIGS, "{{.A"));
    refused(
      "invalid_parameter",
      /^expanding secret t failed: its template is wrong$/,
      templated(SECRETS, "{{.A"),
    );
    make(templated(SECRETS, '{{secret "other"}}')());
    const jinja = { templating: { name: "jinja", options: {} } };
    refused("invalid_parameter", /unknown template driver jinja/, () =>
      createData(SECRETS, spec("j", jinja), value("x"), context()),
    );
    const env = aServiceSpec("web", 1, { task: aTaskSpec({ container: { image: "web", env: ["A={{.B"] } }) });
    refused("invalid_parameter", /expanding env failed: .*unclosed action/, () =>
      createService(env, context()),
    );
  });

  it("gives a name once in each kind", () => {
    create("key");
    refused("secret_name_taken", /secret key already exists/, () =>
      createData(SECRETS, spec("key"), value("x"), context()),
    );
    create("key", CONFIGS);
  });

  it("keeps what a service names, and says which", () => {
    const id = create("key");
    make(createService(withSecrets(aReference(id, "key", 0)), context()));
    const { actions } = removeData(SECRETS, id, context());
    const { refusals } = store.apply({ time: 1, actions }, ++index);
    assert.deepEqual(
      refusals.map(({ code, params }) => [code, params.services]),
      [["secret_in_use", "service: web"]],
    );
  });

  it("pins references to the present revision, and lets them keep one that is still there", () => {
    const id = create("key");
    const service = make(createService(withSecrets(aReference(id, "key", 0)), context()));
    const pin = () => store.view().service(service)!.spec!.task!.container!.secrets[0]!.revision;
    const version = () => store.view().service(service)!.meta!.version;
    assert.equal(pin(), 1);
    make(rotateData(SECRETS, { id, data: value("two") }, context()));
    assert.equal(pin(), 2);
    // a client that sends back what it was told knows of no revision
    const same = withSecrets(aReference(id, "key", 0));
    const before = store.view().service(service)!.specVersion;
    const sent = { id: service, version: version(), spec: same, rollback: false };
    make(updateService(sent, context()));
    assert.equal(store.view().service(service)!.specVersion, before, "nothing to update");
    const back = withSecrets(aReference(id, "key", 1));
    make(updateService({ id: service, version: version(), spec: back, rollback: false }, context()));
    assert.equal(pin(), 1);
  });

  it("refuses references that cannot be", () => {
    const id = create("key");
    const attempt =
      (...refs: SecretReference[]) =>
      () =>
        createService(withSecrets(...refs), context());
    const at = (name: string, change = {}) => {
      const ref = aReference(id, "key");
      return { ...ref, file: { ...ref.file!, name, ...change } };
    };
    refused("secret_not_found", /secret not found: nokey/, attempt(aReference("x", "nokey")));
    refused("secret_not_found", /secret not found: other/, attempt(aReference(id, "other")));
    refused("invalid_parameter", /malformed secret reference/, attempt(aReference("", "key")));
    for (const outside of ["../key", "a/../../key", "/run/../etc/key"])
      refused("invalid_parameter", /may not hold \.\./, attempt(at(outside)));
    refused("invalid_parameter", /is no file's path/, attempt(at("/")));
    refused("invalid_parameter", /is no file's path/, attempt(at("keys/")));
    refused("invalid_parameter", /uid me is not a number/, attempt(at("key", { uid: "me" })));
    refused("invalid_parameter", /conflicting target/, attempt(at("a"), at("/run/secrets/a")));
    const big = Array.from({ length: 66 }, (_, i) => {
      const name = `big${i}`;
      const made = make(createData(SECRETS, spec(name), Buffer.alloc(SECRETS.limit - 1), context()));
      return aReference(made, name, 0);
    });
    refused("invalid_parameter", /may have 33554432 bytes in all; these have/, attempt(...big));
    make(attempt(at("a"), at("/etc/b"))());
  });
});
