import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isCreelError } from "@creel/shared";
import { checkFormat } from "../src/format.ts";

describe("the format of a data root", () => {
  it("is checked before anything is touched", () => {
    const dir = mkdtempSync(join(tmpdir(), "creeld-"));
    try {
      checkFormat(dir);
      checkFormat(join(dir, "not-there"));
      const path = join(dir, "format");
      writeFileSync(path, "1\n");
      checkFormat(dir);
      writeFileSync(path, "2\n");
      assert.throws(
        () => checkFormat(dir),
        (error) =>
          isCreelError(error, "data_format_newer") &&
          error.message === `${path} was written by a newer Creel (format 2; this one knows 1)`,
      );
      writeFileSync(path, "two\n");
      assert.throws(
        () => checkFormat(dir),
        (error) => isCreelError(error, "storage_damaged"),
      );
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
