/** Freezes the object and all below it (bytes excepted), so that no reader of a view can change the store. */
export function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) {
    return value;
  }
  Object.freeze(value);
  for (const part of Object.values(value)) freeze(part);
  return value;
}
