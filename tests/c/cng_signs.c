/*
 * The signatures of the example for CNG. Wine stores no keys, so these here have no name, and the example's own main() is
 * not called. Prints a line for each algorithm: its name, the public key as a BCRYPT_RSAPUBLIC_BLOB, and a signature.
 */
#include "mde.h"

static int32_t keep(mde_signature_sink *sink, const uint8_t *signature, uint64_t size);

#define main example_main
#define mde_signature_set keep
#include "../../examples/c/cng.c"
#undef main

static BYTE kept[MAX_SIGNATURE];
static DWORD kept_size;

static int32_t keep(mde_signature_sink *sink, const uint8_t *signature, uint64_t size) {
    (void)sink;
    memcpy(kept, signature, (size_t)size);
    kept_size = (DWORD)size;
    return MDE_OK;
}

static void must(const char *function, LONG code) {
    if (!succeeded(function, code)) {
        exit(1);
    }
}

static NCRYPT_KEY_HANDLE nameless_key(void) {
    NCRYPT_PROV_HANDLE provider = 0;
    NCRYPT_KEY_HANDLE key = 0;
    DWORD bits = 2048;
    must("NCryptOpenStorageProvider", NCryptOpenStorageProvider(&provider, MS_KEY_STORAGE_PROVIDER, 0));
    must("NCryptCreatePersistedKey", NCryptCreatePersistedKey(provider, &key, BCRYPT_RSA_ALGORITHM, NULL, 0, 0));
    must("NCryptSetProperty", NCryptSetProperty(key, NCRYPT_LENGTH_PROPERTY, (PBYTE)&bits, sizeof bits, 0));
    must("NCryptFinalizeKey", NCryptFinalizeKey(key, 0));
    NCryptFreeObject(provider);
    return key;
}

static void print_digits(const BYTE *bytes, DWORD size) {
    putchar(' ');
    for (DWORD at = 0; at < size; at++) {
        printf("%02x", bytes[at]);
    }
}

int main(void) {
    static const char *const algorithms[] = {"PS256", "RS256"};
    for (int at = 0; at < 2; at++) {
        /* A key for each: those of Wine keep the padding of their first signature. */
        NCRYPT_KEY_HANDLE key = nameless_key();
        BYTE blob[1024];
        DWORD size = 0;
        must("NCryptExportKey", NCryptExportKey(key, 0, BCRYPT_RSAPUBLIC_BLOB, NULL, blob, sizeof blob, &size, 0));
        if (sign(&key, algorithms[at], (const uint8_t *)"data", 4, NULL) != MDE_OK) {
            return 1;
        }
        printf("%s", algorithms[at]);
        print_digits(blob, size);
        print_digits(kept, kept_size);
        putchar('\n');
        NCryptFreeObject(key);
    }
    return 0;
}
