/*
 * pkcs11: signs in with a key that a PKCS#11 token has, such as an HSM, a smart card or a TPM, and prints the machine
 * actions of the tenant. The key never leaves the token.
 *
 * Its headers are in Debian's libp11-kit-dev. docs/sign-in.md makes a token to try it with.
 *
 *     cc -std=c99 $(pkg-config --cflags p11-kit-1) pkcs11.c signing.c -lmde -ldl -o pkcs11
 *
 * Settings come from the environment:
 *
 *     MDE_TENANT_ID, MDE_CLIENT_ID  the tenant and the application
 *     MDE_CERTIFICATE               the path of the key's certificate, in PEM
 *     PKCS11_MODULE                 the maker's library, for example /usr/lib/softhsm/libsofthsm2.so
 *     PKCS11_TOKEN, PKCS11_KEY      the labels of the token and of the private key
 *     PKCS11_PIN                    the user's PIN
 *     MDE_OPTIONS                   any other options as JSON (docs/options.md); may be left out
 */
#define _POSIX_C_SOURCE 200809L

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

#include "signing.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

enum { MAX_SLOTS = 64, MAX_SIGNATURE = 512 };

/* A session of the token that is logged in. Only one thread at a time may sign with it. */
struct token {
    CK_FUNCTION_LIST *pkcs11;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
};

const char program[] = "pkcs11";

/* What the usual codes mean. The PKCS#11 standard explains all of them. */
static const char *meaning(CK_RV code) {
    switch (code) {
    case CKR_PIN_INCORRECT:
        return ": the PIN is wrong; a token locks itself after a few attempts";
    case CKR_PIN_LOCKED:
        return ": the PIN is locked";
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
        return ": the token cannot sign so; set \"certificate_algorithm\": \"RS256\" in MDE_OPTIONS";
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
        return ": the token was removed";
    default:
        return "";
    }
}

/* Returns 1 if the function succeeded. Otherwise it prints the code. */
static int succeeded(const char *function, CK_RV code) {
    if (code != CKR_OK) {
        fprintf(stderr, "pkcs11: %s failed with 0x%lx%s\n", function, (unsigned long)code, meaning(code));
    }
    return code == CKR_OK;
}

/* ---- signing ---------------------------------------------------------------------------------- */

static int32_t sign(void *user_data, const char *algorithm, const uint8_t *data, uint64_t size,
                    mde_signature_sink *sink) {
    struct token *token = user_data;
    CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, CKG_MGF1_SHA256, 32};
    CK_MECHANISM ps256 = {CKM_SHA256_RSA_PKCS_PSS, &pss, sizeof pss};
    CK_MECHANISM rs256 = {CKM_SHA256_RSA_PKCS, NULL, 0};
    CK_BYTE signature[MAX_SIGNATURE];
    CK_ULONG length = sizeof signature;
    int is_pss = strcmp(algorithm, "PS256") == 0;
    if (mde_signature_time_left_ms(sink) == 0 ||
        !succeeded("C_SignInit",
                   token->pkcs11->C_SignInit(token->session, is_pss ? &ps256 : &rs256, token->key)) ||
        !succeeded("C_Sign", token->pkcs11->C_Sign(token->session, (CK_BYTE *)data, (CK_ULONG)size, signature,
                                                   &length))) {
        return 1;
    }
    return mde_signature_set(sink, signature, length);
}

/* ---- the token -------------------------------------------------------------------------------- */

/* The functions of the maker's library. It stays loaded until the program ends. */
static CK_FUNCTION_LIST *load(const char *path) {
    CK_C_GetFunctionList get = NULL;
    CK_FUNCTION_LIST *list = NULL;
#ifdef _WIN32
    HMODULE module = LoadLibraryA(path);
    FARPROC symbol = module != NULL ? GetProcAddress(module, "C_GetFunctionList") : NULL;
#else
    void *module = dlopen(path, RTLD_NOW);
    void *symbol = module != NULL ? dlsym(module, "C_GetFunctionList") : NULL;
#endif
    /* ISO C has no conversion from a pointer to data. */
    memcpy(&get, &symbol, sizeof get);
    if (get == NULL) {
        fprintf(stderr, "pkcs11: %s is no PKCS#11 module\n", path);
        return NULL;
    }
    return succeeded("C_GetFunctionList", get(&list)) ? list : NULL;
}

/* Finds the slot whose token has this label. Labels are filled up with blanks. */
static int find_slot(CK_FUNCTION_LIST *pkcs11, const char *label, CK_SLOT_ID *found) {
    CK_SLOT_ID slots[MAX_SLOTS];
    CK_ULONG count = MAX_SLOTS;
    if (!succeeded("C_GetSlotList", pkcs11->C_GetSlotList(CK_TRUE, slots, &count))) {
        return 0;
    }
    for (CK_ULONG at = 0; at < count; at++) {
        CK_TOKEN_INFO info;
        size_t length = strlen(label);
        if (pkcs11->C_GetTokenInfo(slots[at], &info) == CKR_OK && length <= sizeof info.label &&
            memcmp(info.label, label, length) == 0 &&
            (length == sizeof info.label || info.label[length] == ' ')) {
            *found = slots[at];
            return 1;
        }
    }
    fprintf(stderr, "pkcs11: no token has the label %s\n", label);
    return 0;
}

static int find_key(struct token *token, const char *label) {
    CK_OBJECT_CLASS kind = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE wanted[] = {
        {CKA_CLASS, &kind, sizeof kind},
        {CKA_LABEL, (void *)label, (CK_ULONG)strlen(label)},
    };
    CK_ULONG count = 0;
    if (!succeeded("C_FindObjectsInit", token->pkcs11->C_FindObjectsInit(token->session, wanted, 2))) {
        return 0;
    }
    int is_found = succeeded("C_FindObjects",
                             token->pkcs11->C_FindObjects(token->session, &token->key, 1, &count)) &&
                   count == 1;
    token->pkcs11->C_FindObjectsFinal(token->session);
    if (!is_found) {
        fprintf(stderr, "pkcs11: the token has no private key with the label %s\n", label);
    }
    return is_found;
}

static int open_token(struct token *token) {
    const char *pin = setting("PKCS11_PIN");
    CK_C_INITIALIZE_ARGS threads = {0};
    CK_SLOT_ID slot = 0;
    token->pkcs11 = load(setting("PKCS11_MODULE"));
    threads.flags = CKF_OS_LOCKING_OK;
    return token->pkcs11 != NULL && succeeded("C_Initialize", token->pkcs11->C_Initialize(&threads)) &&
           find_slot(token->pkcs11, setting("PKCS11_TOKEN"), &slot) &&
           succeeded("C_OpenSession",
                     token->pkcs11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session)) &&
           succeeded("C_Login", token->pkcs11->C_Login(token->session, CKU_USER, (CK_UTF8CHAR *)pin,
                                                       (CK_ULONG)strlen(pin))) &&
           find_key(token, setting("PKCS11_KEY"));
}

int main(void) {
    struct token token = {NULL, 0, 0};
    if (!open_token(&token)) {
        return 1;
    }
    int code = list_actions(sign, &token);
    /* Closes the session, too. */
    token.pkcs11->C_Finalize(NULL);
    return code;
}
