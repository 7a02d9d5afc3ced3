/* What the process has: memory, descriptors, threads, files. */
#define _GNU_SOURCE

#include <dirent.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "soak.h"

/* A number of /proc/self/status. */
static long status_of(const char *name) {
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    const size_t length = strlen(name);
    while (file != NULL && value < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, length) == 0) {
            value = atol(line + length);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

static int is_name(const char *name) {
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* All files and folders below a folder. */
static long entries_below(const char *path) {
    long count = 0;
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (is_name(entry->d_name)) {
            char below[PATH + 300];
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            count += 1 + (entry->d_type == DT_DIR ? entries_below(below) : 0);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

/* Descriptors of sockets, which are connections that are kept, and all others. */
static void descriptors(long *sockets, long *others) {
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    *sockets = 0;
    *others = -1; /* Not the one of this folder. */
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (is_name(entry->d_name)) {
            char path[300], target[64] = "";
            snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
            const ssize_t length = readlink(path, target, sizeof target - 1);
            const int is_socket = length > 0 && strncmp(target, "socket:", 7) == 0;
            *sockets += is_socket;
            *others += !is_socket;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
}

/* Slots of the quota that calls hold or wait for: there is no call now. */
static long in_flight(void) {
    char *json = NULL;
    long sum = 0;
    if (soak.kept == NULL || mde_get_quota(soak.kept, &json) != MDE_OK) {
        mde_string_free(json);
        return 0;
    }
    for (int n = 0; n < 12; n++) {
        static const char *const members[] = {"in_flight", "queued"};
        for (int m = 0; m < 2; m++) {
            char pointer[64];
            snprintf(pointer, sizeof pointer, "/quotas/%d/%s", n, members[m]);
            char *value = value_at(json, pointer);
            sum += value != NULL ? atol(value) : 0;
            mde_string_free(value);
        }
    }
    mde_string_free(json);
    return sum;
}

void resources_print(const char *when) {
    char temp[PATH];
    long sockets, others;
    snprintf(temp, sizeof temp, "%s/temp", soak.folder);
    const long held = in_flight();
    /* A thread that has been joined may still be leaving. */
    for (int n = 0; n < 100 && status_of("Threads:") > 1; n++) {
        sleep_ms(10);
    }
    descriptors(&sockets, &others);
    malloc_trim(0);
    const struct mallinfo2 heap = mallinfo2();
    printf("sample %s numbers=%ld heap=%zu rss_kib=%ld sockets=%ld descriptors=%ld threads=%ld temp=%ld target=%ld "
           "in_flight=%ld\n",
           when, next_number(), heap.uordblks + heap.hblkhd, status_of("RssAnon:"), sockets, others,
           status_of("Threads:"), entries_below(temp), entries_below(soak.folder), held);
}

void remove_folder(const char *path) {
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (is_name(entry->d_name)) {
            char below[PATH + 300];
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            if (entry->d_type == DT_DIR) {
                remove_folder(below);
            } else {
                unlink(below);
            }
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    rmdir(path);
}
