/*
 * The header's constants against the library's functions. The test runner turns each `#define` of a status
 * into one line of statuses.inc: STATUS(MDE_ERR_RATE_LIMITED, "rate_limited").
 */
#include "support.h"

static const struct {
    int32_t status;
    const char *name;
} STATUSES[] = {
#define STATUS(constant, name) {constant, name},
#include "statuses.inc"
};

enum { COUNT = sizeof STATUSES / sizeof STATUSES[0], BEYOND = 2000 };

int main(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", MDE_HEADER_VERSION_MAJOR, MDE_HEADER_VERSION_MINOR,
             MDE_HEADER_VERSION_PATCH);
    CHECK(strcmp(version, MDE_HEADER_VERSION) == 0, "%s is not %s", version, MDE_HEADER_VERSION);
    CHECK(strcmp(mde_version(), MDE_HEADER_VERSION) == 0, "%s is not %s", mde_version(), MDE_HEADER_VERSION);
    CHECK(strcmp(MDE_HEADER_VERSION, required("MDE_TEST_VERSION")) == 0, "Cargo.toml has another version");
    CHECK(MDE_HEADER_VERSION_NUMBER ==
              MDE_HEADER_VERSION_MAJOR * 1000000 + MDE_HEADER_VERSION_MINOR * 1000 + MDE_HEADER_VERSION_PATCH,
          "%d", MDE_HEADER_VERSION_NUMBER);
    CHECK(mde_abi_version() == MDE_HEADER_ABI_VERSION, "%u", (unsigned)mde_abi_version());

    for (int i = 0; i < COUNT; i++) {
        const char *name = mde_status_name(STATUSES[i].status);
        CHECK(strcmp(name, STATUSES[i].name) == 0, "%d is %s, in the header %s",
              (int)STATUSES[i].status, name, STATUSES[i].name);
    }
    /* And no status has a name that the header lacks. */
    for (int32_t status = -BEYOND; status <= BEYOND; status++) {
        int known = 0;
        for (int i = 0; i < COUNT; i++) {
            known += STATUSES[i].status == status;
        }
        int named = strcmp(mde_status_name(status), "unknown") != 0;
        CHECK(known == named, "%d: %d times in the header, %s", (int)status, known,
              mde_status_name(status));
    }
    return finish();
}
