/** A template cannot be read, or does not fit what it is given. */
export class TemplateError extends Error {}
