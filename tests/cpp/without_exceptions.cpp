// mde.hpp with -fno-exceptions -fno-rtti. The same file is linked into a program with exceptions, too.
#include "support.hpp"

int without_exceptions() {
    mde::options options = service_options();
    if (const auto refused = options.set("cloud", "mars"); refused || refused.error().status() != mde::status::config) {
        return 1;
    }
    auto made = mde::client::make(options);
    if (!made) {
        return 2;
    }
    const mde::client client = *std::move(made);
    const auto collected = client.collect_package(machine(0), "case 4711");
    if (!collected) {
        return 3;
    }
    int events = 0;
    const auto waited = client.wait_action(collected->action.id, [&](const mde::progress_event &event) {
        ++events;
        event.stop();
    });
    const bool stopped = !waited && waited.error().status() == mde::status::cancelled;
    return stopped && events == 1 ? 0 : 4;
}

#if !defined(MDE_TEST_PARTS)
int main() {
    CHECK(without_exceptions() == 0);
    std::puts("all checks passed");
    return 0;
}
#endif
