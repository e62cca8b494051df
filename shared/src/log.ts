import { type Logger as Pino, pino } from "pino";

/** A structured logger; children carry the fields that say where they are. */
export type Logger = Pino;

/** Levels that `--log-level` takes, as dockerd's. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"] as const;

const SECRET_NAMES = [
  "token",
  "joinToken",
  "JoinToken",
  "JoinTokens",
  "key",
  "caKey",
  "signingKey",
  "raftKey",
  "password",
  "authorization",
  "x-registry-auth",
];
const SECRET_PATHS = SECRET_NAMES.flatMap((name) =>
  ["", "*", "*.*"].map((parent) => {
    const last = name.includes("-") ? `["${name}"]` : name;
    if (parent === "") return last;
    return last.startsWith("[") ? `${parent}${last}` : `${parent}.${last}`;
  }),
);

const JOIN_TOKEN = /SWMTKN-1-[0-9a-z]+-[0-9a-z]+/g;
const PRIVATE_KEY = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(?:-----END \1-----|$)/g;

/** A text without the join tokens and private keys that may stand in it. */
export function withoutSecrets(text: string): string {
  return text.replace(JOIN_TOKEN, "SWMTKN-[secret]").replace(PRIVATE_KEY, "[secret key]");
}

const thresholds = new WeakMap<Logger, (level: string) => void>();

/**
 * A logger that writes JSON lines to standard error at `level`. Secrets are redacted by their keys, join tokens and
 * private keys wherever they stand in a line.
 */
export function createLogger(level: string, fields: Record<string, unknown> = {}): Logger {
  let lowest = pino.levels.values[level] ?? 0;
  const logger = pino(
    {
      // what is below `lowest` ends in the hook: a child keeps the level it was made with, the hook is asked anew
      level: LOG_LEVELS[0],
      base: fields,
      redact: { paths: SECRET_PATHS, censor: "[secret]" },
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: {
        logMethod(args, method, number) {
          if (number >= lowest) method.apply(this, args);
        },
        streamWrite: withoutSecrets,
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );
  thresholds.set(logger, (next) => {
    lowest = pino.levels.values[next] ?? lowest;
  });
  return logger;
}

/** Changes the level of a logger of {@link createLogger} and of all its children while they are in use. */
export function setLogLevel(logger: Logger, level: string): void {
  thresholds.get(logger)?.(level);
}
