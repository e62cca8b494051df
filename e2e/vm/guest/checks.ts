import { blockIoChecks } from "./block-io.ts";
import { containerChecks } from "./containers.ts";
import { ociChecks } from "./oci.ts";
import { serviceChecks } from "./service.ts";
import { systemdChecks } from "./systemd.ts";
import type { Check } from "./tools.ts";
import { userChecks } from "./users.ts";
import { validationChecks } from "./validation.ts";

/** All of them, in the order they are made: each finds what those before it left. */
const all: Check[] = [
  ...systemdChecks.install,
  ...containerChecks,
  ...blockIoChecks,
  ...ociChecks,
  ...validationChecks,
  ...userChecks,
  ...serviceChecks,
  ...systemdChecks.restarts,
  ...systemdChecks.end,
];

/** The checks of a machine with this version of cgroups. */
export const checksOn = (version: "v1" | "v2"): Check[] => all.filter(({ v1 }) => version === "v2" || v1);
