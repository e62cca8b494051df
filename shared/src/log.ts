import { type Logger as Pino, pino } from "pino";

/** A structured logger; children carry the fields that say where they are. */
export type Logger = Pino;

/** Levels that `--log-level` takes, as dockerd's. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"] as const;

const SECRET_KEYS = [
  "token",
  "*.token",
  "key",
  "*.key",
  "password",
  "*.password",
  "*.rootCa.key",
  "authorization",
];

/** A logger that writes JSON lines to standard error at `level`; secrets are redacted by their keys. */
export function createLogger(level: string, fields: Record<string, unknown> = {}): Logger {
  return pino(
    {
      level,
      base: fields,
      redact: { paths: SECRET_KEYS, censor: "[secret]" },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
