// Files that are exchanged while others look at them, and what should be hidden.
#include "attacks.h"
#include <dirent.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

// `swap A B`: exchanges two names as fast as it can, until it is killed; one that is being replaced is waited for.
int swap(int argc, char **argv) {
    if (argc < 2) return 64;
    puts("swapping");
    for (;;)
        if (syscall(SYS_renameat2, AT_FDCWD, argv[0], AT_FDCWD, argv[1], RENAME_EXCHANGE) != 0 && errno != ENOENT)
            return told("swap", -1), 1;
}

// `chase DIRECTORY TARGET`: puts a link to the target in the place of each file that appears, until it is killed.
int chase(int argc, char **argv) {
    if (argc < 2) return 64;
    static char buffer[1 << 16] __attribute__((aligned(8)));
    int events = inotify_init1(IN_CLOEXEC);
    if (chdir(argv[0]) != 0 || inotify_add_watch(events, ".", IN_CREATE | IN_MOVED_TO) < 0) return told("chase", -1), 1;
    puts("chasing");
    for (;;) {
        ssize_t size = read(events, buffer, sizeof buffer);
        for (char *at = buffer; at < buffer + size;) {
            struct inotify_event *event = (void *)at;
            struct stat found;
            at += sizeof *event + event->len;
            if (lstat(event->name, &found) != 0 || !S_ISREG(found.st_mode)) continue;
            if (unlink(event->name) != 0 || symlink(argv[1], event->name) != 0) told("chase", -1);
        }
    }
}

// `masks PATH…`: each hidden path is not there, the null device, or an empty directory; anything else is printed.
int masks(int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        struct stat found;
        if (stat(argv[i], &found) != 0) continue;
        if (S_ISDIR(found.st_mode)) {
            int names = 0;
            DIR *directory = opendir(argv[i]);
            while (directory && readdir(directory)) names++;
            if (names > 2) printf("%s: a directory of %d files\n", argv[i], names - 2);
        } else if (!S_ISCHR(found.st_mode) || found.st_rdev != makedev(1, 3)) {
            printf("%s: a file of mode %o\n", argv[i], found.st_mode);
        }
    }
    return 0;
}

// `files`: open descriptors besides the standard ones, and what they show.
int files(int argc, char **argv) {
    (void)argc, (void)argv;
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(directory));) {
        int fd = atoi(entry->d_name);
        char target[4096] = "";
        if (fd <= 2 || fd == dirfd(directory)) continue;
        if (readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1) > 0) printf("%d %s\n", fd, target);
    }
    return 0;
}

// `writes PATH…`: opens each for writing. It writes nothing: where a wall is missing, the machine shall live.
int writes(int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        int fd = open(argv[i], O_WRONLY | O_NONBLOCK);
        told(argv[i], fd);
        if (fd >= 0) close(fd);
    }
    return 0;
}
