/** What of the machine a stack's files are made of. */
export interface Surroundings {
  /** The bytes of a file; throws as node:fs does. `-` is standard input. */
  read(path: string): Buffer;
  env: Record<string, string | undefined>;
  /** The folder that file names are meant from. */
  folder: string;
}

/** Why a file cannot be read, in a few words. */
export function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Record<string, string> = {
    ENOENT: "there is no such file",
    EACCES: "permission denied",
    EISDIR: "it is a folder",
  };
  return words[code ?? ""] ?? message;
}
