// A job over several devices, against the simulator: stopped in each way, resumed, and read.
#include "support.hpp"

#include <filesystem>
#include <set>
#include <thread>

using namespace std::chrono_literals;

namespace {

const std::string FOLDER = required("MDE_TEST_FOLDER");

std::string devices() {
    std::string json = "[";
    for (std::size_t n = 0; n < 4; ++n) {
        json += (n > 0 ? ",\"" : "\"") + machine(n) + "\"";
    }
    return json + "]";
}

std::set<std::string> actions(const mde::fetched_packages &job) {
    std::set<std::string> ids;
    for (const mde::device_package &one : job.packages) {
        if (one.action) {
            ids.insert(one.action->id);
        }
    }
    return ids;
}

// At the first event, when some collections may run.
mde::fetched_packages stopped() {
    const mde::client client(service_options());
    const auto job = client.fetch_packages(devices(), "case 4711", FOLDER, [](const mde::progress_event &event) {
        CHECK(event.stage() == "fleet" && event.devices() == 4 && !event.machine_id() && !event.device());
        event.stop();
    });
    CHECK(job.error().status() == mde::status::cancelled && job.error().cause() == nullptr);
    auto known = job.error().packages().value();
    CHECK(known.packages.size() == 4 && known.summary.devices == 4 && known.summary.done == 0);
    return known;
}

// By another client, as after a restart.
void resumed(const mde::fetched_packages &before) {
    const mde::client client(service_options());
    const auto late = client.fetch_packages("[]", "case 4711", FOLDER, nullptr, 1ms);
    CHECK(late.error().status() == mde::status::deadline);
#if defined(__cpp_lib_jthread)
    std::stop_source source;
    source.request_stop();
    CHECK(client.fetch_packages("[]", "why", FOLDER, nullptr, source.get_token()).error().status() == mde::status::cancelled);
#endif
    std::set<std::string> ended;
    std::uint64_t done = 0;
    const auto job = client.fetch_packages(devices(), "case 4711", std::filesystem::path(FOLDER), [&](const auto &event) {
        if (const auto device = event.device()) {
            CHECK(ended.insert(device->machine_id).second);
        }
        done = event.stage() == "fleet" ? event.done() : done;
    }).value();
    CHECK(done == 4 && job.summary.done == 4 && job.summary.unfinished == 0 && job.packages.size() == 4);
    std::uint64_t bytes = 0;
    for (std::size_t n = 0; n < 4; ++n) {
        const mde::device_package &one = job.packages[n];
        CHECK(one.machine_id == machine(n) && one.state == "done" && one.action->status == "Succeeded" && !one.error());
        CHECK(std::filesystem::file_size(one.package->path) == one.package->bytes && one.package->action_id == one.action->id);
        bytes += one.package->bytes;
    }
    CHECK(bytes == job.summary.bytes);
    // No device was asked twice.
    const auto now = actions(job);
    for (const std::string &action : actions(before)) {
        CHECK(now.count(action) == 1);
    }
    const auto read = mde::read_packages(FOLDER).value();
    CHECK(read.json.text() == job.json.text() && read.packages.size() == 4);
    CHECK(client.fetch_packages("[]", "case 4711", FOLDER).value().json.text() == job.json.text());
}

void incomplete() {
    const std::string unknown = "0123456789012345678901234567890123456789";
    const std::string folder = FOLDER + "/incomplete";
    std::filesystem::create_directory(folder);
    const mde::client client(service_options());
    std::optional<mde::device_package> seen;
    const std::string five = "[\"" + unknown + "\"," + devices().substr(1);
    const auto job = client.fetch_packages(five, "why", folder, [&](const mde::progress_event &event) {
        if (const auto device = event.device()) {
            CHECK(event.machine_id() == device->machine_id && device->has_ended());
            seen = device->machine_id == unknown ? device : seen;
        }
    });
    // It ended long before the others.
    CHECK(seen && seen->state == "failed" && seen->error()->status() == mde::status::not_found);
    CHECK(job.error().status() == mde::status::incomplete && !job.error().retryable());
    const auto known = job.error().packages().value();
    CHECK(known.summary.done == 4 && known.summary.failed == 1 && known.packages.size() == 5);
    const mde::device_package &failed = known.packages[0];
    CHECK(failed.state == "failed" && failed.error()->status() == mde::status::not_found && failed.error()->http_status() == 404);
    CHECK(mde::read_packages(folder)->summary.failed == 1);
}

// An exception stops the call, and the job goes on with the next one.
void thrown() {
    struct surprise : std::exception {};
    const std::string folder = FOLDER + "/other";
    std::filesystem::create_directory(folder);
    const mde::client client(service_options());
    bool caught = false;
    try {
        client.fetch_packages(devices(), "why", folder, [](const auto &) { throw surprise(); }).value();
    } catch (const surprise &) {
        caught = true;
    }
    CHECK(caught && mde::read_packages(folder)->summary.devices == 4);
    CHECK(client.fetch_packages("[]", "why", folder)->summary.done == 4);
}

void refused() {
    const mde::client client(service_options());
    const auto refuses = [&](const mde::string_arg &devices, const mde::string_arg &folder, mde::status status) {
        return client.fetch_packages(devices, "why", folder).error().status() == status;
    };
    CHECK(refuses("pc1, pc2", FOLDER, mde::status::invalid_argument));
    CHECK(refuses(devices(), FOLDER + "/missing", mde::status::file));
    CHECK(refuses("[]", std::string_view("a\0b", 3), mde::status::invalid_argument));
    CHECK(mde::read_packages(FOLDER + "/missing").error().status() == mde::status::file);
    CHECK(!mde::read_packages(FOLDER + "/missing").error().packages());
}

}  // namespace

int main() {
    resumed(stopped());
    incomplete();
    thrown();
    refused();
    std::puts("all checks passed");
    return 0;
}
