/* Code that the C tests share: checks that count failures and continue, and readers of result documents. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mde.h"

/* Says what was expected and where, and remembers that the program failed. */
#define CHECK(condition, ...) check((condition) != 0, __FILE__, __LINE__, #condition, __VA_ARGS__)

void check(int holds, const char *file, int line, const char *condition, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 5, 6)))
#endif
    ;

/* Failed checks so far. */
int failures(void);

/* Prints a summary; the exit code of main(). */
int finish(void);

/* A variable that the test runner sets; ends the program if it is missing. */
const char *required(const char *name);

/* The value at a JSON pointer, or NULL. Freed with mde_string_free(). */
char *value_at(const char *json, const char *pointer);

/* Whether the value at a JSON pointer is this text. */
int value_is(const char *json, const char *pointer, const char *expected);

/*
 * Checks a failed call: the status, the same status and its name in the document, and a message that
 * contains `part`. Frees the document. `what` says which call it was.
 */
void expect_error(const char *what, int32_t status, char *json, int32_t expected, const char *part);

/* Checks a successful call with a document; frees it. */
void expect_ok(const char *what, int32_t status, char *json);

/* Sets an option that must be accepted. */
void set(mde_options *options, const char *name, const char *value);

/* A string of `length` times `byte`; ends the program if there is no memory. Freed with free(). */
char *repeated(char byte, size_t length);

#endif
