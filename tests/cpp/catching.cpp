// The part with exceptions of a program whose other part has none: here they are still caught.
#include "support.hpp"

int without_exceptions();

int main() {
    CHECK(without_exceptions() == 0);
    mde::client client(service_options());
    const auto collected = client.collect_package(machine(1), "case 4711").value();
    try {
        client.wait_action(collected.action.id, [](const auto &) { throw 4711; }).value();
    } catch (int number) {
        CHECK(number == 4711);
        std::puts("all checks passed");
        return 0;
    }
    return 1;
}
