// Calls from the destructors of thread_local objects, at the end of a thread and of main(), and from those of static ones.
#include "support.hpp"

#include <thread>

namespace {

// Uses its client when it is destroyed.
class last_user {
  public:
    explicit last_user(const char *words) : client_(service_options()), words_(words) {
        CHECK(client_.find_machines(machine(0)).has_value());
    }
    ~last_user() {
        CHECK(client_.find_machines(machine(1)).has_value());
        mde::client own(service_options());
        CHECK(own.find_machines(machine(2)).has_value());
        std::puts(words_);
    }
    last_user(const last_user &) = delete;
    last_user &operator=(const last_user &) = delete;

  private:
    mde::client client_;
    const char *words_;
};

void begin_to_use() {
    thread_local const last_user of_the_thread("the thread has ended");
}

}  // namespace

int main() {
    static const last_user of_the_program("all checks passed");
    std::thread(begin_to_use).join();
    begin_to_use();
}
