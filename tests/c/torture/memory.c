/* In place of the C library's functions for memory and threads: they count, and fail where the shim says so. */
#define _GNU_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

int shim_refuses_thread(void);
int shim_refuses_memory(void);

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static long live;

long memory_live(void) {
    return __atomic_load_n(&live, __ATOMIC_SEQ_CST);
}

static void *counted(void *block) {
    if (block != NULL) {
        __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    }
    return block;
}

static int refused(void) {
    if (!shim_refuses_memory()) {
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) {
    return refused() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return refused() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size) {
    if (size != 0 && refused()) {
        return NULL;
    }
    void *result = __libc_realloc(block, size);
    if (block == NULL) {
        return counted(result);
    }
    if (size == 0 && result == NULL) {
        __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    }
    return result;
}

void *memalign(size_t alignment, size_t size) {
    return refused() ? NULL : counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    void *block = memalign(alignment, size);
    if (block == NULL) {
        return ENOMEM;
    }
    *result = block;
    return 0;
}

void free(void *block) {
    if (block != NULL) {
        __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    }
    __libc_free(block);
}

typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    static create *next;
    if (next == NULL) {
        void *found = dlsym(RTLD_NEXT, "pthread_create");
        memcpy(&next, &found, sizeof next);
    }
    return shim_refuses_thread() ? EAGAIN : next(thread, attributes, run, argument);
}
