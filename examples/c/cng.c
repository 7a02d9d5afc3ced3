/*
 * cng: signs in with a key of Windows' Cryptography API: Next Generation, such as one in the TPM, and prints the machine
 * actions of the tenant. The key never leaves its provider.
 *
 * A certificate in Windows' store needs no code: client_certificate=store:CurrentUser/My/<thumbprint>. This is for keys
 * whose certificate is a file.
 *
 *     x86_64-w64-mingw32-gcc -std=c99 cng.c signing.c -lmde -lncrypt -lbcrypt -o cng.exe
 *
 * Settings come from the environment:
 *
 *     MDE_TENANT_ID, MDE_CLIENT_ID  the tenant and the application
 *     MDE_CERTIFICATE               the path of the key's certificate, in PEM
 *     CNG_PROVIDER                  for example Microsoft Platform Crypto Provider, which is the TPM
 *     CNG_KEY                       the name of the key
 *     CNG_MACHINE                   any value for a key of the machine; not set for one of the user
 *     MDE_OPTIONS                   any other options as JSON (docs/options.md); may be left out
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <bcrypt.h>
#include <ncrypt.h>

#include "signing.h"

enum { MAX_NAME = 256, MAX_SIGNATURE = 512, SHA256_LENGTH = 32 };

const char program[] = "cng";

/* Returns 1 if the function succeeded. Otherwise it prints the code, which Windows documents as NTE_ or STATUS_. */
static int succeeded(const char *function, LONG code) {
    if (code != 0) {
        fprintf(stderr, "cng: %s failed with 0x%08lX\n", function, (unsigned long)code);
    }
    return code == 0;
}

/* ---- signing ---------------------------------------------------------------------------------- */

static int hash(const uint8_t *data, uint64_t size, BYTE *digest) {
    BCRYPT_ALG_HANDLE sha256 = NULL;
    if (!succeeded("BCryptOpenAlgorithmProvider",
                   BCryptOpenAlgorithmProvider(&sha256, BCRYPT_SHA256_ALGORITHM, NULL, 0))) {
        return 0;
    }
    int is_done = succeeded("BCryptHash", BCryptHash(sha256, NULL, 0, (PUCHAR)data, (ULONG)size, digest,
                                                     SHA256_LENGTH));
    BCryptCloseAlgorithmProvider(sha256, 0);
    return is_done;
}

static int32_t sign(void *user_data, const char *algorithm, const uint8_t *data, uint64_t size,
                    mde_signature_sink *sink) {
    NCRYPT_KEY_HANDLE *key = user_data;
    BCRYPT_PSS_PADDING_INFO pss = {BCRYPT_SHA256_ALGORITHM, SHA256_LENGTH};
    BCRYPT_PKCS1_PADDING_INFO pkcs1 = {BCRYPT_SHA256_ALGORITHM};
    int is_pss = strcmp(algorithm, "PS256") == 0;
    BYTE digest[SHA256_LENGTH];
    BYTE signature[MAX_SIGNATURE];
    DWORD length = 0;
    /* Silent: a service has no desktop on which somebody could answer. */
    if (!hash(data, size, digest) ||
        !succeeded("NCryptSignHash",
                   NCryptSignHash(*key, is_pss ? (void *)&pss : (void *)&pkcs1, digest, sizeof digest, signature,
                                  sizeof signature, &length,
                                  (is_pss ? BCRYPT_PAD_PSS : BCRYPT_PAD_PKCS1) | NCRYPT_SILENT_FLAG))) {
        return 1;
    }
    return mde_signature_set(sink, signature, length);
}

static int open_key(NCRYPT_KEY_HANDLE *key) {
    WCHAR provider_name[MAX_NAME], key_name[MAX_NAME];
    NCRYPT_PROV_HANDLE provider = 0;
    DWORD flags = getenv("CNG_MACHINE") != NULL ? NCRYPT_MACHINE_KEY_FLAG : 0;
    if (MultiByteToWideChar(CP_ACP, 0, setting("CNG_PROVIDER"), -1, provider_name, MAX_NAME) == 0 ||
        MultiByteToWideChar(CP_ACP, 0, setting("CNG_KEY"), -1, key_name, MAX_NAME) == 0) {
        fprintf(stderr, "cng: a name is too long\n");
        return 0;
    }
    if (!succeeded("NCryptOpenStorageProvider", NCryptOpenStorageProvider(&provider, provider_name, 0))) {
        return 0;
    }
    int is_open = succeeded("NCryptOpenKey",
                            NCryptOpenKey(provider, key, key_name, 0, flags | NCRYPT_SILENT_FLAG));
    NCryptFreeObject(provider);
    return is_open;
}

int main(void) {
    NCRYPT_KEY_HANDLE key = 0;
    if (!open_key(&key)) {
        return 1;
    }
    int code = list_actions(sign, &key);
    NCryptFreeObject(key);
    return code;
}
