/** `repo[:tag]`; a colon before a slash belongs to the registry's port. */
export function splitTag(name: string): { repo: string; tag: string | undefined } {
  const colon = name.lastIndexOf(":");
  if (colon <= name.lastIndexOf("/")) return { repo: name, tag: undefined };
  return { repo: name.slice(0, colon), tag: name.slice(colon + 1) };
}

/** A path of the API for an image, whose name may have slashes. */
export function imagePath(name: string, action = ""): string {
  return `/images/${name.split("/").map(encodeURIComponent).join("/")}${action && `/${action}`}`;
}
