// A container that wants everything the machine has, and sockets that others listen on.
#include "attacks.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

// `forks`: as many processes as can be had. How many, and why there are no more.
int forks(int argc, char **argv) {
    (void)argc, (void)argv;
    int count = 0;
    for (; count < 100000; count++) {
        int pid = fork();
        if (pid == 0) for (;;) pause();
        if (pid < 0) break;
    }
    printf("forks=%d\n", count);
    told("fork", -1);
    return 0;
}

// `memory`: writes to more and more memory, until it is killed.
int memory(int argc, char **argv) {
    (void)argc, (void)argv;
    for (;;) {
        char *more = malloc(1 << 20);
        if (more) memset(more, 1, 1 << 20);
    }
}

// `sockets [PATH…]`: connects to each UNIX socket that this network namespace knows, and to these paths. Prints those
// that answer.
static void try(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path) return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = 0;
    static const int KINDS[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        int fd = socket(AF_UNIX, KINDS[i], 0);
        socklen_t size = offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '@' ? 0 : 1);
        if (connect(fd, (struct sockaddr *)&address, size) == 0) printf("connected %s\n", path);
        close(fd);
    }
}

int sockets(int argc, char **argv) {
    char line[1024];
    FILE *known = fopen("/proc/net/unix", "r");
    int count = 0;
    while (known && fgets(line, sizeof line, known)) {
        line[strcspn(line, "\n")] = 0;
        char *path = strpbrk(line, "/@");
        if (path) count++, try(path);
    }
    for (int i = 0; i < argc; i++) try(argv[i]);
    printf("tried=%d\n", count + argc);
    return 0;
}
