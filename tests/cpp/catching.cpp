// The part of a program that uses exceptions. The other part has none, and exceptions are still caught here.
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
