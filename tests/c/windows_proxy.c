/*
 * The proxy that Windows names. The program writes the setting of its user, as the control panel does, and trusts the
 * service's authority, fetches a package, and takes both back. MDE_TEST_PROXY names a proxy in place of a setting.
 */
#include <windows.h>
#include <wincrypt.h>

#include "service.h"

static const char SETTINGS[] =
    "Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections";
static const char NAME[] = "DefaultConnectionSettings";

/* The functions of crypt32, which the linker does not bring along. */
typedef HCERTSTORE(WINAPI *open_fn)(HCRYPTPROV_LEGACY, LPCSTR);
typedef BOOL(WINAPI *add_fn)(HCERTSTORE, DWORD, const BYTE *, DWORD, DWORD, PCCERT_CONTEXT *);
typedef BOOL(WINAPI *delete_fn)(PCCERT_CONTEXT);

static PCCERT_CONTEXT trusted;
static delete_fn delete_trusted;

static void trust(const char *path) {
    static BYTE der[8192];
    HMODULE crypt32 = LoadLibraryA("crypt32.dll");
    open_fn open = (open_fn)(void (*)(void))GetProcAddress(crypt32, "CertOpenSystemStoreA");
    add_fn add = (add_fn)(void (*)(void))GetProcAddress(crypt32, "CertAddEncodedCertificateToStore");
    FILE *file = fopen(path, "rb");
    DWORD length = 0;
    HCERTSTORE roots;
    delete_trusted =
        (delete_fn)(void (*)(void))GetProcAddress(crypt32, "CertDeleteCertificateFromStore");
    if (file != NULL) {
        length = (DWORD)fread(der, 1, sizeof der, file);
        fclose(file);
    }
    roots = open(0, "ROOT");
    CHECK(roots != NULL, "no store: %lu", GetLastError());
    CHECK(add(roots, X509_ASN_ENCODING, der, length, CERT_STORE_ADD_REPLACE_EXISTING, &trusted),
          "the authority is not trusted: %lu", GetLastError());
}

/*
 * Wine takes a certificate without a list of revoked ones for revoked. This program takes the place of the library
 * that looks for one.
 */
__declspec(dllexport) BOOL WINAPI CertDllVerifyRevocation(DWORD encoding, DWORD type, DWORD count,
                                                          void **certificates, DWORD flags,
                                                          void *parameters,
                                                          CERT_REVOCATION_STATUS *status) {
    (void)encoding, (void)type, (void)count, (void)certificates, (void)flags, (void)parameters;
    status->dwError = 0;
    return TRUE;
}

/* Two zeros end the list. */
static void revocation_by(const char *library, size_t size) {
    HKEY key = NULL;
    CHECK(RegCreateKeyExA(HKEY_LOCAL_MACHINE,
                          "Software\\Microsoft\\Cryptography\\OID\\EncodingType 1\\"
                          "CertDllVerifyRevocation\\DEFAULT",
                          0, NULL, 0, KEY_ALL_ACCESS, NULL, &key, NULL) == ERROR_SUCCESS,
          "no key for revocation");
    CHECK(RegSetValueExA(key, "Dll", 0, REG_MULTI_SZ, (const BYTE *)library, (DWORD)size) ==
              ERROR_SUCCESS,
          "no library for revocation");
    RegCloseKey(key);
}

static HKEY settings(void) {
    HKEY key = NULL;
    CHECK(RegCreateKeyExA(HKEY_CURRENT_USER, SETTINGS, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &key,
                          NULL) == ERROR_SUCCESS,
          "no settings");
    return key;
}

/* Three numbers, and three texts, each behind its length: proxy, exceptions, script. */
static void set_script(const char *url) {
    enum { HEADER = 6, USE_SCRIPT = 4 };
    static BYTE value[1024];
    DWORD numbers[HEADER] = {0x46, 0, USE_SCRIPT, 0, 0, 0};
    size_t length = strlen(url);
    HKEY key = settings();
    numbers[HEADER - 1] = (DWORD)length;
    CHECK(length < sizeof value - sizeof numbers, "too long: %s", url);
    memcpy(value, numbers, sizeof numbers);
    memcpy(value + sizeof numbers, url, length);
    CHECK(RegSetValueExA(key, NAME, 0, REG_BINARY, value, (DWORD)(sizeof numbers + length)) ==
              ERROR_SUCCESS,
          "no script is set");
    RegCloseKey(key);
}

static void remove_script(void) {
    HKEY key = settings();
    RegDeleteValueA(key, NAME);
    RegCloseKey(key);
}

int main(void) {
    const char *expected = getenv("MDE_TEST_EXPECT");
    const char *proxy = getenv("MDE_TEST_PROXY");
    mde_options *options = service_options();
    mde_client *client;
    char *json = NULL;
    int32_t status;
    static const char own[] = "windows_proxy.exe\0", usual[] = "cryptnet.dll\0";
    revocation_by(own, sizeof own);
    trust(required("MDE_TEST_CA"));
    if (proxy != NULL) {
        set(options, "proxy", proxy);
    } else {
        /* The default of the option finds it. */
        set_script(required("MDE_TEST_PAC"));
    }
    set(options, "poll_interval_ms", "100");
    set(options, "max_retries", "0");
    client = client_from(options);
    status = mde_fetch_package(client, machine(0), "by a script", required("MDE_TEST_FILE"), NULL,
                               NULL, NULL, &json);
    if (expected == NULL) {
        expect_ok("a fetch through the proxy of the script", status, json);
    } else {
        CHECK(status != MDE_OK && json != NULL && strstr(json, expected) != NULL, "no `%s` in: %s",
              expected, json != NULL ? json : "nothing");
        mde_string_free(json);
    }
    mde_client_free(client);
    if (proxy == NULL) remove_script();
    if (trusted != NULL) delete_trusted(trusted);
    revocation_by(usual, sizeof usual);
    return finish();
}
