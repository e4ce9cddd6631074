/* What is left when there is no engine.
 *
 *   bare look   looks at each file of files.txt once, in two threads
 *   bare run    runs the commands of the graph for each name of leaves.txt, two at once and without a shell
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;
static char **line;
static long count, next;

static void read_lines(const char *name) {
    char text[4096];
    long room = 0;
    FILE *list = fopen(name, "r");
    while (list && fgets(text, sizeof text, list)) {
        text[strcspn(text, "\n")] = 0;
        if (count == room) line = realloc(line, (room = room ? room * 2 : 1024) * sizeof *line);
        line[count++] = strdup(text);
    }
}

static void *look(void *unused) {
    struct statx s;
    long i;
    while ((i = __atomic_fetch_add(&next, 256, __ATOMIC_RELAXED)) < count)
        for (long j = i; j < count && j < i + 256; j++)
            if (statx(AT_FDCWD, line[j], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &s)) exit(1);
    return unused;
}

static void start(char **argv, const char *in, const char *out) {
    posix_spawn_file_actions_t files;
    pid_t child;
    posix_spawn_file_actions_init(&files);
    if (in) posix_spawn_file_actions_addopen(&files, 0, in, O_RDONLY, 0);
    if (out) posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (posix_spawnp(&child, argv[0], &files, NULL, argv, environ)) exit(1);
    posix_spawn_file_actions_destroy(&files);
}

static void run(int transform) {
    int status, running = 0;
    for (long i = 0; i < count; i++) {
        char leaf[4200], copy[4200], made[4200];
        snprintf(leaf, sizeof leaf, "in/%s.txt", line[i]);
        snprintf(copy, sizeof copy, "out/c/%s.txt", line[i]);
        snprintf(made, sizeof made, "out/t/%s.txt", line[i]);
        if (running == 2 && wait(&status) > 0) running--;
        if (transform) start((char *[]){"tr", "a-z", "A-Z", NULL}, copy, made);
        else start((char *[]){"cp", leaf, copy, NULL}, NULL, NULL);
        running++;
    }
    while (wait(&status) > 0) {}
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "run")) {
        read_lines("leaves.txt");
        run(0);
        run(1);
        return 0;
    }
    pthread_t other;
    read_lines("files.txt");
    pthread_create(&other, 0, look, 0);
    look(0);
    pthread_join(other, 0);
    return 0;
}
