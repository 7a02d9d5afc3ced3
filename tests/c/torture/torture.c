/*
 * Runs an operation again and again, each time in a process of its own in which one call fails.
 *
 *     torture OPERATION FOLDER WORKERS < PLAN
 *
 * A line of the plan is a run: NAME MACHINE MACHINE CALL ALLOCATION WAY STAYS RETRIES. A line of the output is what came of
 * it, with tabs between the fields that `print` writes.
 */
#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "torture/operations.h"
#include "torture/shim.h"

enum { MOST_WORKERS = 64, DESCRIPTORS = 512, SECONDS = 60 };

/* What a process leaves of its run. */
struct result {
    struct seen seen;
    const char *phase;
    int32_t status;
    int32_t second;
    /* Blocks of memory that the run has left. */
    long kept;
    /* Bytes of the package that were there before. */
    long bytes;
    int warned;
    long used;
    char action[40];
    char problem[2048];
    char document[1 << 17];
};

/* A place for a process. */
struct worker {
    struct result *result;
    struct run run;
    struct fault fault;
    pid_t process;
    /* The process goes on after the one before was aborted. */
    int survives;
    int standard_error;
};

static const struct operation *operation;

/* The descriptors that are open, but for that of /dev/urandom, which Rust keeps where there is no getrandom. */
static int descriptors(void) {
    int count = 0;
    for (long number = 0; number < DESCRIPTORS; number++) {
        struct stat about;
        if (raw_call(SYS_fstat, number, (long)&about, 0, 0, 0, 0) == 0) {
            count += !S_ISCHR(about.st_mode) || about.st_rdev != makedev(1, 9);
        }
    }
    return count;
}

/* The threads of this process. Those that end have a moment for it. */
static int threads(void) {
    int count = 0;
    for (int attempt = 0; attempt < 200; attempt++) {
        DIR *tasks = opendir("/proc/self/task");
        count = 0;
        for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
            count += entry->d_name[0] != '.';
        }
        closedir(tasks);
        if (count == 1) {
            break;
        }
        struct timespec pause = {0, 100000000};
        nanosleep(&pause, NULL);
    }
    return count;
}

/* The process of a run. */
static void work(struct worker *worker) {
    struct result *result = worker->result;
    const struct run *run = &worker->run;
    char *problem = result->problem;
    size_t size = sizeof result->problem;
    char *json = NULL;
    alarm(SECONDS);
    dup2(worker->standard_error, STDERR_FILENO);
    operation_uses(result->action);
    shim_install(&result->seen);
    result->phase = "before";
    if (!worker->survives) {
        if (operation->before != NULL) {
            int32_t status = operation->before(run, &json);
            if (status != MDE_OK) {
                add_problem(problem, size, "what comes before failed: %.300s", json);
            }
            mde_string_free(json);
            json = NULL;
        }
        result->bytes = bytes_there(run);
        long live = memory_live();
        int open = descriptors();
        result->phase = "call";
        shim_arm(&worker->fault);
        result->status = operation->call(run, &json);
        shim_disarm();
        result->phase = "checks";
        if (json != NULL) {
            strncpy(result->document, json, sizeof result->document - 1);
        }
        check_document("the call", result->status, json, problem, size);
        mde_string_free(json);
        json = NULL;
        int still_open = descriptors();
        if (still_open != open) {
            add_problem(problem, size, "%d descriptors were open before and %d after", open, still_open);
        }
        int running = threads();
        if (running != 1) {
            add_problem(problem, size, "%d threads are left", running - 1);
        }
        result->kept = -live;
    }
    check_files(run, operation, 0, problem, size);
    long bytes = bytes_there(run);
    if (bytes < result->bytes) {
        add_problem(problem, size, "%ld bytes of the package are left of %ld", bytes, result->bytes);
    }
    result->phase = "second call";
    result->second = operation->call(run, &json);
    if (result->second != MDE_OK) {
        add_problem(problem, size, "the second call failed: %.400s", json);
    }
    check_document("the second call", result->second, json, problem, size);
    mde_string_free(json);
    result->phase = "other calls";
    touch_everything(run);
    result->kept += memory_live();
    result->phase = "last checks";
    if (result->second == MDE_OK) {
        check_files(run, operation, 1, problem, size);
    }
    result->warned = quota_warned();
    result->phase = "done";
    /* Nothing of the parent's is to be flushed twice. */
    _exit(0);
}

/* How much of the quota a process of its own sees in the file. */
static void audit(struct worker *worker) {
    pid_t process = fork();
    if (process == 0) {
        worker->result->used = quota_used(&worker->run);
        _exit(0);
    }
    waitpid(process, NULL, 0);
}

static void start(struct worker *worker) {
    if (ftruncate(worker->standard_error, 0) != 0 || lseek(worker->standard_error, 0, SEEK_SET) != 0) {
        exit(3);
    }
    fflush(stdout);
    worker->process = fork();
    if (worker->process == 0) {
        work(worker);
    }
}

static void print(const struct worker *worker, const char *end) {
    const struct result *result = worker->result;
    const struct seen *seen = &result->seen;
    const char *failed = seen->failed > 0 ? KINDS[seen->failed - 1].name : "-";
    printf("run\t%s\t%s\t%ld\t%ld\t%s\t%d\t%s\t%d\t%d\t%ld\t%d\t%ld\t%s\t%s\n", worker->run.name, end, seen->calls,
           seen->allocations, failed, seen->error, seen->path, (int)result->status, (int)result->second, result->kept,
           result->warned, result->used, result->problem, result->document);
    if (worker->fault.call == 0 && worker->fault.allocation == 0) {
        printf("trace\t%s\t", worker->run.name);
        for (long n = 0; n < seen->calls && n < MOST_CALLS; n++) {
            printf("%s:%d,", KINDS[seen->trace[n]].name, ways_of(seen->trace[n]));
        }
        printf("\n");
    }
}

/* What the process has printed, which is nothing unless it was aborted for want of memory. */
static int was_out_of_memory(const struct worker *worker, char *text, size_t size) {
    ssize_t got = pread(worker->standard_error, text, size - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\t') {
            *at = ' ';
        }
    }
    /* Rust ends the process with the first text, the C library with the second. */
    return strstr(text, "memory allocation of ") != NULL || strstr(text, ": out of memory") != NULL;
}

/* A process has ended. Returns whether another one goes on in its place. */
static int finish_run(struct worker *worker, int status) {
    struct result *result = worker->result;
    char *problem = result->problem;
    char text[512];
    const char *end = worker->survives ? "aborted" : "returned";
    int out_of_memory = was_out_of_memory(worker, text, sizeof text);
    int is_abort = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    int is_in_call = strcmp(result->phase, "call") == 0 && !worker->survives;
    if (is_abort && out_of_memory && worker->fault.allocation != 0 && is_in_call) {
        worker->survives = 1;
        start(worker);
        return 1;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
        add_problem(problem, sizeof result->problem, "ended by %d in: %s; %s", number, result->phase, text);
        end = "died";
    } else if (*text != '\0') {
        add_problem(problem, sizeof result->problem, "printed: %s", text);
    }
    if (result->seen.unknown != 0) {
        add_problem(problem, sizeof result->problem, "system call %ld is not in tests/c/torture/kinds.c",
                    result->seen.unknown);
    }
    result->used = -1;
    if (strstr(operation->name, "quota-file") != NULL) {
        audit(worker);
    }
    print(worker, end);
    remove_files(&worker->run);
    return 0;
}

static int32_t next_run(struct worker *worker, const char *folder) {
    struct run *run = &worker->run;
    struct fault *fault = &worker->fault;
    int got = scanf("%31s %40s %40s %ld %ld %d %d %d", run->name, run->machines[0], run->machines[1], &fault->call,
                    &fault->allocation, &fault->error, &fault->stays, &run->retries);
    if (got != 8) {
        return 0;
    }
    snprintf(run->folder, sizeof run->folder, "%s/%s", folder, run->name);
    mkdir(run->folder, 0700);
    memset(worker->result, 0, offsetof(struct result, document) + 1);
    memset(worker->result->document, 0, sizeof worker->result->document);
    worker->result->phase = "start";
    worker->survives = 0;
    return 1;
}

int main(int argc, char **argv) {
    static struct worker workers[MOST_WORKERS];
    int count = argc == 4 ? atoi(argv[3]) : 0;
    operation = argc == 4 ? operation_of(argv[1]) : NULL;
    if (operation == NULL || count < 1 || count > MOST_WORKERS) {
        fprintf(stderr, "usage: torture OPERATION FOLDER WORKERS < PLAN\n");
        return 2;
    }
    /* Aborts leave no files, and the C library asks the system for memory once. */
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
    free(malloc(1));
    int running = 0;
    int is_over = 0;
    for (int n = 0; n < count; n++) {
        workers[n].result = mmap(NULL, sizeof *workers[n].result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        workers[n].standard_error = memfd_create("stderr", MFD_CLOEXEC);
        if (workers[n].result == MAP_FAILED || workers[n].standard_error < 0) {
            return 3;
        }
    }
    for (;;) {
        for (int n = 0; n < count && !is_over; n++) {
            if (workers[n].process == 0) {
                is_over = !next_run(&workers[n], argv[2]);
                if (!is_over) {
                    start(&workers[n]);
                    running++;
                }
            }
        }
        if (running == 0) {
            return 0;
        }
        int status = 0;
        pid_t ended = waitpid(-1, &status, 0);
        for (int n = 0; n < count; n++) {
            if (workers[n].process == ended && !finish_run(&workers[n], status)) {
                workers[n].process = 0;
                running--;
            }
        }
    }
}
