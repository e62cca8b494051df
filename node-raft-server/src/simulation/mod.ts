export { MemoryDisk } from "./disk.ts";
export { steppedOpener } from "./stepped.ts";
