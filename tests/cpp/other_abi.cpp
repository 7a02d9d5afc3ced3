// Uses a library with another ABI, which the test makes. Its functions end the program.
#include "support.hpp"

int main() {
    mde::options options;
    CHECK(options.set("cloud", "eu").error().status() == mde::status::config);
    CHECK(options.set_json("{}").error().status() == mde::status::config);
    CHECK(options.set_token_provider([](auto) { return std::nullopt; }).error().status() == mde::status::config);
    const auto made = mde::client::make(options);
    CHECK(made.error().message() == "libmde 7.8.9 has ABI 99, but this program was built for ABI " +
                                        std::to_string(MDE_HEADER_ABI_VERSION));
    CHECK(!made.error().retryable() && made.error().json().text().empty());
    CHECK(mde::inspect_package("a.zip").error().status() == mde::status::config);
    CHECK(!mde::set_log(mde::log_level::debug, [](auto, auto) {}));
    const mde::cancellation cancel(std::chrono::seconds(1));
    CHECK(cancel.handle() == nullptr);
    cancel.trigger();
    std::stop_source source;
    const mde::cancellation following(source.get_token());
    source.request_stop();
    CHECK(mde::name(mde::status::config) == "unknown");
    CHECK(!mde::document("{}").get() && mde::document("[1]").elements().empty());
    std::puts("all checks passed");
    return 0;
}
