/* The only program in the containers of the tests. Each argument is a word of a small script. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern char **environ;

static void copy(int from) {
    char buffer[65536];
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) > 0)
        for (ssize_t sent = 0; sent < got;) {
            ssize_t more = write(1, buffer + sent, got - sent);
            if (more < 0) exit(90);
            sent += more;
        }
}

static void show(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) { printf("%s: %s\n", path, strerror(errno)); fflush(stdout); return; }
    copy(fd);
    close(fd);
}

static void result(const char *name, long value) {
    printf("%s=%s\n", name, value < 0 ? strerrorname_np(errno) : "ok");
}

static void on_term(int signal) { (void)signal; _exit(42); }

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        const char *next = i + 1 < count ? words[i + 1] : "";
        if (!strcmp(word, "echo")) { puts(next); i++; }
        else if (!strcmp(word, "print")) { fputs(next, stdout); fflush(stdout); i++; }
        else if (!strcmp(word, "err")) { fprintf(stderr, "%s\n", next); i++; }
        else if (!strcmp(word, "exit")) exit(atoi(next));
        else if (!strcmp(word, "sleep")) { usleep((useconds_t)(atof(next) * 1e6)); i++; }
        else if (!strcmp(word, "forever")) for (;;) pause();
        else if (!strcmp(word, "term")) signal(SIGTERM, on_term);
        else if (!strcmp(word, "suicide")) { signal(SIGKILL, SIG_DFL); abort(); }
        else if (!strcmp(word, "cat")) copy(0);
        else if (!strcmp(word, "show")) { show(next); i++; }
        else if (!strcmp(word, "env")) for (char **entry = environ; *entry; entry++) puts(*entry);
        else if (!strcmp(word, "id")) printf("%d:%d\n", getuid(), getgid());
        else if (!strcmp(word, "pwd")) { char path[4096]; puts(getcwd(path, sizeof path) ? path : "?"); }
        else if (!strcmp(word, "host")) { char name[256]; gethostname(name, sizeof name); puts(name); }
        else if (!strcmp(word, "pid")) printf("%d\n", getpid());
        else if (!strcmp(word, "write")) { int fd = open(next, O_WRONLY | O_CREAT, 0600); result(next, fd); if (fd >= 0) close(fd); i++; }
        else if (!strcmp(word, "fds")) {
            DIR *directory = opendir("/proc/self/fd");
            for (struct dirent *entry; (entry = readdir(directory));)
                if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory)) printf("fd %s\n", entry->d_name);
            closedir(directory);
        }
        else if (!strcmp(word, "spam")) {
            char line[100];
            memset(line, 'x', 99);
            line[99] = '\n';
            for (long left = atol(next); left > 0; left -= 100) fwrite(line, 1, 100, stdout);
            fflush(stdout);
            i++;
        }
        else if (!strcmp(word, "hog")) { for (size_t size = 1 << 20;; ) { char *memory = malloc(size); memset(memory, 1, size); } }
        else if (!strcmp(word, "fork")) { if (fork() == 0) for (;;) pause(); }
        else if (!strcmp(word, "size")) {
            struct winsize size = {0};
            result("tty", ioctl(0, TIOCGWINSZ, &size));
            printf("%dx%d\n", size.ws_col, size.ws_row);
        }
        else if (!strcmp(word, "seccomp")) {
            result("unshare", unshare(CLONE_NEWUTS));
            result("userns", unshare(CLONE_NEWUSER));
            result("clone3", syscall(SYS_clone3, NULL, 0));
            result("future", syscall(1000));
            result("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
            result("vsock", socket(40, SOCK_STREAM, 0));
            result("inet", socket(AF_INET, SOCK_STREAM, 0));
            result("personality", syscall(SYS_personality, 0xffffffffUL));
            result("persona-bad", syscall(SYS_personality, 0x0040000UL));
        }
        else if (!strcmp(word, "mknod")) {
            result("mknod", mknod("/disk", S_IFBLK | 0600, makedev(254, 0)));
            result("open", open("/disk", O_RDONLY));
        }
        else { fprintf(stderr, "probe: unknown word %s\n", word); return 91; }
    }
    return 0;
}
