/* What has to hold after a call, whatever failed in it. */
#define _POSIX_C_SOURCE 200809L

#include "support.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "torture/operations.h"

void add_problem(char *problem, size_t size, const char *format, ...) {
    size_t length = strlen(problem);
    va_list arguments;
    va_start(arguments, format);
    if (length + 3 < size) {
        strcpy(problem + length, length > 0 ? "; " : "");
        length = strlen(problem);
        vsnprintf(problem + length, size - length, format, arguments);
    }
    va_end(arguments);
}

void check_document(const char *what, int32_t status, const char *json, char *problem, size_t size) {
    char number[16];
    snprintf(number, sizeof number, "%d", (int)status);
    if (status == MDE_OK) {
        if (json == NULL) {
            add_problem(problem, size, "%s: no document", what);
        }
        return;
    }
    char *message = value_at(json, "/error/message");
    int is_whole = message != NULL && strlen(message) > 10 && value_is(json, "/error/status", number) &&
                   value_is(json, "/error/name", mde_status_name(status)) &&
                   (value_is(json, "/error/retryable", "true") || value_is(json, "/error/retryable", "false"));
    if (!is_whole) {
        add_problem(problem, size, "%s: status %d with the document %.300s", what, (int)status, json ? json : "NULL");
    }
    mde_string_free(message);
}

static int ends_with(const char *name, const char *end) {
    size_t length = strlen(name);
    return length >= strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* Whether the word is among those that blanks separate. */
static int is_among(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length) {
        int begins = at == words || at[-1] == ' ';
        if (begins && (at[length] == ' ' || at[length] == '\0')) {
            return 1;
        }
    }
    return 0;
}

/* How many lines of a file begin with the text. */
static int lines(const char *path, const char *begin) {
    static char line[65536];
    FILE *file = fopen(path, "r");
    int count = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        count += strncmp(line, begin, strlen(begin)) == 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

long bytes_there(const struct run *run) {
    char path[256];
    struct stat about;
    snprintf(path, sizeof path, "%s/p.zip", run->folder);
    if (stat(path, &about) == 0) {
        return LONG_MAX;
    }
    strcat(path, ".part");
    return stat(path, &about) == 0 ? (long)about.st_size : 0;
}

void check_files(const struct run *run, const struct operation *operation, int is_end, char *problem, size_t size) {
    int packages = 0;
    int others = 0;
    char path[512];
    DIR *folder = opendir(run->folder);
    if (folder == NULL) {
        add_problem(problem, size, "%s is not there", run->folder);
        return;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", run->folder, entry->d_name);
        if (ends_with(entry->d_name, ".zip")) {
            char *json = NULL;
            int32_t status = mde_inspect_package(path, NULL, NULL, NULL, &json);
            packages++;
            if (status != MDE_OK) {
                add_problem(problem, size, "%s is no whole package: %.200s", entry->d_name, json);
            }
            mde_string_free(json);
        } else if (is_among(operation->files, entry->d_name)) {
            others++;
        } else if (is_end) {
            add_problem(problem, size, "%s is left", entry->d_name);
        }
    }
    closedir(folder);
    if (!is_end) {
        return;
    }
    int wanted = *operation->files != '\0';
    for (const char *at = operation->files; *at != '\0'; at++) {
        wanted += *at == ' ';
    }
    if (packages != operation->packages || others != wanted) {
        add_problem(problem, size, "%d packages and %d other files are there", packages, others);
    }
    if (is_among(operation->files, "SHA256SUMS")) {
        const char *record = is_among(operation->files, "fleet.journal") ? "packages.jsonl" : "record.jsonl";
        snprintf(path, sizeof path, "%s/%s", run->folder, record);
        int all = lines(path, "");
        int done = lines(path, "{");
        snprintf(path, sizeof path, "%s/SHA256SUMS", run->folder);
        int sums = lines(path, "");
        if (all != packages || done != packages || sums != packages) {
            add_problem(problem, size, "%d packages have %d lines in %s and %d in SHA256SUMS", packages, all, record, sums);
        }
    }
}

void remove_files(const struct run *run) {
    char path[512];
    DIR *folder = opendir(run->folder);
    if (folder == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", run->folder, entry->d_name);
            unlink(path);
        }
    }
    closedir(folder);
    rmdir(run->folder);
}
