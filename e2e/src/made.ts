/** The longest name of a file. */
const NAME_MAX = 255;

const FILES = [
  "mkdir -p /made/dir/deep && cd /made",
  "echo text > text && chown 1000:2000 text && chmod 4751 text && busybox ln text hard && busybox ln hard dir/harder",
  "busybox ln -s ../nowhere/at/all link && busybox chown -h 5:6 link",
  "busybox mknod -m 640 fifo p",
  "echo begin > sparse && echo end | dd of=sparse bs=1M seek=96 conv=notrunc 2>&-",
  "chmod 1777 dir && touch -d '2001-02-03 04:05:06' dir/deep",
  `echo name > ${"n".repeat(NAME_MAX)} && echo name > 'new\nline' && echo name > 'ünïcode' && echo name > .wh`,
  "echo x > capable && echo x > noted",
];

/** Makes files of all kinds in /made that root of a user namespace can make. */
export const MAKE_OWN = FILES.join("\n");

/** Makes files of all kinds in /made. */
export const MAKE = [
  ...FILES,
  "busybox mknod null c 1 3 && busybox mknod disk b 8 300",
  "chown 70000:3000000000 dir/deep && touch -d '2001-02-03 04:05:06' dir/deep",
].join("\n");

/** cap_net_raw+ep, as the kernel keeps it. */
export const CAPABILITY = "0x0100000200200000000000000000000000000000";
