/// What `--help` prints.
pub const GENERAL: &str = "usage: creel-runtime [--root DIR] [--log FILE] [--log-format text|json] [--systemd-cgroup] COMMAND

Runs containers from OCI bundles, by runc's command line.

  create   [-b BUNDLE] [--console-socket PATH] [--pid-file PATH] [--preserve-fds N] ID
  start    ID
  run      [the options of create] [-d] [--keep] [--no-subreaper] ID
  exec     [-d] [-t] [-e NAME=VALUE] [-u UID[:GID]] [--cwd DIR] [-p FILE] [--console-socket PATH]
           [--pid-file PATH] [--cap CAP] [--no-new-privs] [--additional-gids GID] [--ignore-paused] ID COMMAND...
  kill     [-a] ID [SIGNAL]
  delete   [-f] ID
  state    ID
  list     [-f table|json] [-q]
  ps       [-f table|json] ID [options of ps]
  pause    ID
  resume   ID
  update   [-r FILE] [--memory N] [--memory-reservation N] [--memory-swap N] [--cpu-shares N] [--cpu-quota N]
           [--cpu-period N] [--cpuset-cpus LIST] [--cpuset-mems LIST] [--pids-limit N] [--blkio-weight N] ID
  events   [--stats] [--interval DURATION] ID
  spec     [-b BUNDLE]
  features";
