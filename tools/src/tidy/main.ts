// tools/tidy: what can be checked of how this repository is written.
import { checkDocs } from "./docs.ts";
import { sources } from "./files.ts";
import { checkImports } from "./imports.ts";
import { checkPurity } from "./purity.ts";
import { checkSizes } from "./sizes.ts";

const files = sources();
const complaints = [checkImports, checkSizes, checkPurity, checkDocs].flatMap((check) => check(files));
for (const complaint of complaints) console.error(complaint);
console.log(`tidy: ${files.length} files, ${complaints.length} complaints`);
process.exit(complaints.length === 0 ? 0 : 1);
