// Runs a command and writes what it used to a file: CPU seconds with its children, wall seconds, peak KiB, and the CPU
// seconds of its own process alone.
//
// A process starts with the peak of the one that it was started from, through exec: started from a large script, each
// tool would seem to be as large as that. This program is small.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    struct timespec start, end;
    struct rusage used;
    int status;
    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t child = fork();
    if (child < 0) return 126;
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    // The clock of a process counts all of its threads and none of its children, and is there until it is waited for.
    siginfo_t ended;
    clockid_t clock;
    struct timespec own;
    if (waitid(P_PID, child, &ended, WEXITED | WNOWAIT) < 0) return 126;
    if (clock_getcpuclockid(child, &clock) || clock_gettime(clock, &own)) return 126;
    if (wait4(child, &status, 0, &used) < 0) return 126;
    clock_gettime(CLOCK_MONOTONIC, &end);
    FILE *out = fopen(argv[1], "w");
    if (!out) return 126;
    double wall = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
    fprintf(out, "%.6f %.6f %ld %.6f\n", seconds(used.ru_utime) + seconds(used.ru_stime), wall, used.ru_maxrss,
            own.tv_sec + own.tv_nsec / 1e9);
    if (fclose(out)) return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
