/** What is wrong with a value: where, and what it must be. The place is "" for the value itself. */
export interface Wrong {
  place: string;
  text: string;
}

/** What a value must be. `T` is its type, which {@link Static} takes out. */
export interface Schema<T = unknown> {
  /** The first thing that is wrong with `value`; undefined where nothing is. */
  check(value: unknown): Wrong | undefined;
  /** In an object, the field may be absent. */
  optional?: boolean;
  /** Never there: it carries the type. */
  readonly type?: T;
}

interface OptionalSchema<T> extends Schema<T> {
  optional: true;
}

/** The type of the values that a schema takes. */
export type Static<S> = S extends Schema<infer T> ? T : never;

type Fields = Record<string, Schema>;
type OptionalKeys<F> = { [K in keyof F]: F[K] extends { optional: true } ? K : never }[keyof F];
type ObjectOf<F extends Fields> = { [K in Exclude<keyof F, OptionalKeys<F>>]: Static<F[K]> } & {
  [K in OptionalKeys<F>]?: Static<F[K]>;
};
type Flat<T> = { [K in keyof T]: T[K] };

/** An object, with its fields for one that has more. */
interface ObjectSchema<F extends Fields> extends Schema<Flat<ObjectOf<F>>> {
  readonly fields: F;
}

const wrong = (text: string, place = ""): Wrong => ({ place, text });
const within = (step: string, inner: Wrong): Wrong =>
  wrong(inner.text, inner.place === "" ? step : `${step}.${inner.place}`);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function text(limits: { maxLength?: number } = {}): Schema<string> {
  const { maxLength = Number.POSITIVE_INFINITY } = limits;
  return {
    check(value) {
      if (typeof value !== "string") return wrong("must be string");
      return value.length > maxLength ? wrong(`must not have more than ${maxLength} characters`) : undefined;
    },
  };
}

interface Limits {
  minimum?: number;
  maximum?: number;
}

function numeric(what: "number" | "integer", limits: Limits): Schema<number> {
  // beyond these a whole number is not exact, and neither the log nor the engine could give it back
  const exact = what === "integer" ? Number.MAX_SAFE_INTEGER : Number.POSITIVE_INFINITY;
  const { minimum = -exact, maximum = exact } = limits;
  const fits = what === "integer" ? Number.isInteger : Number.isFinite;
  return {
    check(value) {
      if (!fits(value)) return wrong(`must be ${what}`);
      if ((value as number) < minimum) return wrong(`must be >= ${minimum}`);
      if ((value as number) > maximum) return wrong(`must be <= ${maximum}`);
      return undefined;
    },
  };
}

function list<T>(item: Schema<T>): Schema<T[]> {
  return {
    check(value) {
      if (!Array.isArray(value)) return wrong("must be array");
      for (let i = 0; i < value.length; i++) {
        const found = item.check(value[i]);
        if (found) return within(`${i}`, found);
      }
      return undefined;
    },
  };
}

/** Fields that it does not name are let through. */
function object<F extends Fields>(fields: F): ObjectSchema<F> {
  const entries = Object.entries(fields);
  return {
    fields,
    check(value) {
      if (!isObject(value)) return wrong("must be object");
      for (const [name, field] of entries) {
        if (value[name] === undefined) {
          if (!field.optional) return wrong("is required", name);
          continue;
        }
        const found = field.check(value[name]);
        if (found) return within(name, found);
      }
      return undefined;
    },
  };
}

/** Values by name; `key` says what the names may be. */
function record<T>(key: Schema<string>, item: Schema<T>): Schema<Record<string, T>> {
  return {
    check(value) {
      if (!isObject(value)) return wrong("must be object");
      for (const [name, each] of Object.entries(value)) {
        const badName = key.check(name);
        if (badName) return within(name.slice(0, 64), wrong(`as a name ${badName.text}`));
        const found = item.check(each);
        if (found) return within(name, found);
      }
      return undefined;
    },
  };
}

/** One of several; the one that a value comes closest to says what is wrong with it. */
function union<S extends Schema[]>(schemas: [...S]): Schema<Static<S[number]>> {
  return {
    check(value) {
      let deepest: Wrong | undefined;
      for (const schema of schemas) {
        const found = schema.check(value);
        if (!found) return undefined;
        if (!deepest || found.place.length > deepest.place.length) deepest = found;
      }
      return deepest;
    },
  };
}

/** Schemas of JSON values, one source for the check and the type. */
export const Type = {
  String: text,
  Array: list,
  Object: object,
  Record: record,
  Union: union,
  Number: (limits: Limits = {}) => numeric("number", limits),
  Integer: (limits: Limits = {}) => numeric("integer", limits),
  Boolean: (): Schema<boolean> => ({
    check: (value) => (typeof value === "boolean" ? undefined : wrong("must be boolean")),
  }),
  Literal: <const T extends string | number | boolean>(only: T): Schema<T> => ({
    check: (value) => (value === only ? undefined : wrong(`must be ${JSON.stringify(only)}`)),
  }),
  Null: (): Schema<null> => ({ check: (value) => (value === null ? undefined : wrong("must be null")) }),
  Unknown: (): Schema<unknown> => ({ check: () => undefined }),
  Optional: <T>(schema: Schema<T>): OptionalSchema<T> => ({ check: schema.check, optional: true }),
};
