// Code that the C++ test programs share.
#ifndef MDE_TESTS_CPP_SUPPORT_HPP
#define MDE_TESTS_CPP_SUPPORT_HPP

#include <mde.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

// Ends the program with 1, saying where.
#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::printf("FAILED: %s:%d: %s\n", __FILE__, __LINE__, #condition);          \
            std::fflush(stdout);                                                         \
            std::_Exit(1);                                                               \
        }                                                                                \
    } while (false)

// Of each part of a program its own: parts with and without exceptions have different types.
namespace {

// A variable that the test has to set.
[[maybe_unused]] std::string required(const char *variable) {
    const char *value = std::getenv(variable);
    if (value == nullptr) {
        std::printf("FAILED: %s is not set\n", variable);
        std::fflush(stdout);
        std::_Exit(1);
    }
    return value;
}

// The n-th machine of the simulator.
[[maybe_unused]] std::string machine(std::size_t n) {
    // 40 digits each, with a blank between.
    return required("MDE_TEST_MACHINES").substr(n * 41, 40);
}

// Options for the simulator, without a way to sign in.
[[maybe_unused]] mde::options unsigned_options() {
    mde::options options;
    for (const char *name : {"api_url", "login_url"}) {
        CHECK(options.set(name, required("MDE_TEST_URL")));
    }
    CHECK(options.set("tenant_id", required("MDE_TEST_TENANT")));
    CHECK(options.set("client_id", required("MDE_TEST_CLIENT")));
    CHECK(options.set("poll_interval_ms", std::chrono::milliseconds(100)));
    // Two links a minute would make these programs wait.
    CHECK(options.set("quota_limits", "collect=9999/60;read=9999/60;list=9999/60;cancel=9999/60;link=9999/60;machines=9999/60"));
    return options;
}

// The same, with the secret.
[[maybe_unused]] mde::options service_options() {
    mde::options options = unsigned_options();
    CHECK(options.set("client_secret", required("MDE_TEST_SECRET")));
    return options;
}

}  // namespace

#endif
