/* The one program of the tests' image: helper COMMAND [ARGUMENT...] */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_term(int signal) { (void)signal; _exit(7); }

static int cat(const char *path) {
    char buffer[4096];
    ssize_t n;
    int fd = path ? open(path, O_RDONLY) : 0;
    if (fd < 0) { perror(path); return 1; }
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, n) != n) return 1;
    return 0;
}

static int serve(int port) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 16)) { perror("listen"); return 1; }
    puts("listening");
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        char name[64] = "", text[128];
        int client = accept(listener, (struct sockaddr *)&from, &length);
        gethostname(name, sizeof name);
        snprintf(text, sizeof text, "%s %s\n", name, inet_ntoa(from.sin_addr));
        if (write(client, text, strlen(text)) < 0) perror("write");
        close(client);
    }
}

static int list(const char *path) {
    struct dirent *entry;
    DIR *dir = opendir(path);
    if (!dir) { perror(path); return 1; }
    while ((entry = readdir(dir))) if (entry->d_name[0] != '.') puts(entry->d_name);
    return 0;
}

/* Asks the resolver of resolv.conf for an A record, since a static program has no usable getaddrinfo. */
static int resolve(const char *name) {
    unsigned char question[512] = {0, 1, 1, 0, 0, 1}, answer[512];
    int at = 12, fd = socket(AF_INET, SOCK_DGRAM, 0);
    char copy[256], *part;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct timeval limit = {5, 0};
    inet_aton("127.0.0.11", &to.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    strncpy(copy, name, sizeof copy - 1);
    copy[sizeof copy - 1] = 0;
    for (part = strtok(copy, "."); part; part = strtok(NULL, ".")) {
        question[at] = strlen(part);
        memcpy(question + at + 1, part, strlen(part));
        at += 1 + strlen(part);
    }
    at++;
    question[at + 1] = 1;
    question[at + 3] = 1;
    at += 4;
    sendto(fd, question, at, 0, (struct sockaddr *)&to, sizeof to);
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < at + 16 || !answer[7]) { puts("no answer"); return 1; }
    printf("%d.%d.%d.%d\n", answer[n - 4], answer[n - 3], answer[n - 2], answer[n - 1]);
    return 0;
}

int main(int count, char **words) {
    const char *command = count > 1 ? words[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(command, "echo")) {
        for (int i = 2; i < count; i++) printf("%s%s", i > 2 ? " " : "", words[i]);
        puts("");
        return 0;
    }
    if (!strcmp(command, "error")) { fprintf(stderr, "%s\n", words[2]); return atoi(words[3]); }
    if (!strcmp(command, "exit")) return atoi(words[2]);
    if (!strcmp(command, "cat")) {
        for (int i = 2; i < count; i++) if (cat(words[i])) return 1;
        return count > 2 ? 0 : cat(NULL);
    }
    if (!strcmp(command, "write")) {
        FILE *file = fopen(words[2], "w");
        if (!file) { perror(words[2]); return 1; }
        fputs(words[3], file);
        return fclose(file) != 0;
    }
    if (!strcmp(command, "ls")) return list(words[2]);
    if (!strcmp(command, "exists")) { struct stat s; return stat(words[2], &s) != 0; }
    if (!strcmp(command, "env")) { extern char **environ; for (char **e = environ; *e; e++) puts(*e); return 0; }
    if (!strcmp(command, "count")) {
        int n = atoi(words[2]), wait = count > 3 ? atoi(words[3]) : 0;
        for (int i = 0; i < n; i++) { printf("line %d\n", i); if (wait) usleep(wait * 1000); }
        return 0;
    }
    if (!strcmp(command, "serve")) { signal(SIGTERM, on_term); return serve(atoi(words[2])); }
    if (!strcmp(command, "resolve")) return resolve(words[2]);
    if (!strcmp(command, "sleep")) {
        signal(SIGTERM, on_term);
        puts("sleeping");
        for (int i = 0; i < atoi(words[2]) * 10; i++) usleep(100000);
        return 0;
    }
    if (!strcmp(command, "stubborn")) { signal(SIGTERM, SIG_IGN); puts("ignoring"); for (;;) pause(); }
    fprintf(stderr, "helper: unknown command %s\n", command);
    return 2;
}
