import { invalid } from "../../invalid.ts";

/** Words of a command line as a shell takes them apart: blanks, quotes and backslashes, nothing more. */
export function argv(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const sign = text[i]!;
    if (quote !== "" && sign === quote) quote = "";
    else if (sign === "\\" && quote !== "'" && i + 1 < text.length) word = (word ?? "") + text[++i];
    else if (quote === "" && (sign === "'" || sign === '"')) {
      quote = sign;
      word ??= "";
    } else if (quote === "" && /\s/.test(sign)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + sign;
  }
  if (quote !== "") throw invalid(`unterminated ${quote} in: ${text}`);
  if (word !== undefined) words.push(word);
  return words;
}
