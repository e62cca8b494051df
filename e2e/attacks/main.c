// Attacks on a container's walls, one static program to be put into an image: `attack WORD ARGUMENTS`.
#include "attacks.h"

void told(const char *name, long result) {
    printf("%s=%s\n", name, result >= 0 ? "ok" : strerrorname_np(errno));
}

static const struct {
    const char *word;
    attack run;
} ATTACKS[] = {
    {"overwrite", overwrite}, {"swap", swap},   {"masks", masks},   {"files", files},   {"writes", writes},
    {"calls", calls},   {"nested", nested},       {"spy", spy},     {"sockets", sockets}, {"keys", keys},   {"forks", forks},
    {"memory", memory}, {"user", user},   {"chase", chase},
};

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; argc > 1 && i < sizeof ATTACKS / sizeof *ATTACKS; i++)
        if (strcmp(argv[1], ATTACKS[i].word) == 0) return ATTACKS[i].run(argc - 2, argv + 2);
    fprintf(stderr, "attack: no such attack\n");
    return 64;
}
