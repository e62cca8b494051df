// What the programs of an attack have in common. Each attack is a word on the command line and its arguments.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*attack)(int argc, char **argv);

// Says how a call went: `name=ok` or `name=ENAME`.
void told(const char *name, long result);

int overwrite(int argc, char **argv);
int swap(int argc, char **argv);
int chase(int argc, char **argv);
int masks(int argc, char **argv);
int files(int argc, char **argv);
int writes(int argc, char **argv);
int calls(int argc, char **argv);
int nested(int argc, char **argv);
int spy(int argc, char **argv);
int sockets(int argc, char **argv);
int user(int argc, char **argv);
int keys(int argc, char **argv);
int forks(int argc, char **argv);
int memory(int argc, char **argv);
