import { maybe, StringMap } from "../http/body.ts";
import { type Static, Type } from "./type.ts";

const Text = maybe(Type.String());
const Driver = maybe(Type.Object({ Name: Text, Options: maybe(StringMap) }));

/** The body of POST /secrets/create and /configs/create, and of their updates. */
export const DataSpecSchema = Type.Object({
  Name: Text,
  Labels: maybe(StringMap),
  Data: Text,
  Driver,
  Templating: Driver,
});
export type DataBody = Static<typeof DataSpecSchema>;

/** The body of POST /creel/secrets/{id}/rotate and /creel/configs/{id}/rotate. */
export const RotateSchema = Type.Object({ Data: Type.String() });
