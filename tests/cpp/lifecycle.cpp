// The whole of mde.hpp, with exceptions, against the simulator.
#include "support.hpp"

#include <atomic>
#include <filesystem>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

using namespace std::chrono_literals;

using real_seconds = std::chrono::duration<double>;
constexpr double INFINITE = std::numeric_limits<double>::infinity();
constexpr double NOT_A_NUMBER = std::numeric_limits<double>::quiet_NaN();

namespace {

struct surprise : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const std::string FOLDER = required("MDE_TEST_FOLDER");

// What the call throws, which has to be an Exception.
template <class Exception, class Call>
Exception thrown_by(const Call &call) {
    try {
        call();
    } catch (const Exception &exception) {
        return exception;
    }
    std::puts("FAILED: nothing was thrown");
    std::fflush(stdout);
    std::_Exit(1);
}

void the_library() {
    CHECK(mde::version() == MDE_HEADER_VERSION);
    CHECK(mde::abi_version() == MDE_HEADER_ABI_VERSION);
    CHECK(mde::name(mde::status::rate_limited) == "rate_limited");
    CHECK(mde::name(mde::status(12345)) == "unknown");
}

void documents() {
    const mde::document json(R"( {"a":{"b":"x\"]","n":-7,"big":18446744073709551615,"t":true,"z":null,"ms":1500},
        "list":["p,q]","\\", [1,[2]] , {"k":"}"}, 5,""],"empty":[ ],"one":[ 1 ]} )");
    CHECK(json.get("/a/b") == "x\"]");
    CHECK(json.get<int>("/a/n") == -7);
    CHECK(json.get("/a/n") == "-7");
    CHECK(json.get<std::uint64_t>("/a/big") == UINT64_MAX);
    CHECK(!json.get<std::int64_t>("/a/big"));
    CHECK(!json.get<unsigned>("/a/n"));
    CHECK(!json.get<int>("/a/b"));
    CHECK(json.get<bool>("/a/t") == true);
    CHECK(!json.get<bool>("/a/n"));
    CHECK(json.get<std::chrono::milliseconds>("/a/ms") == 1500ms);
    CHECK(!json.get("/a/z"));
    CHECK(!json.get("/none") && !json.get("no pointer"));
    CHECK(!json.get(std::string_view("/a\0/b", 5)));
    CHECK(json.get<mde::document>("/a")->get<int>("/n") == -7);
    CHECK(!json.get<mde::document>("/a/n"));

    const auto list = json.elements("/list");
    CHECK(list.size() == 6);
    CHECK(list[0].get() == "p,q]" && list[0].text() == "\"p,q]\"");
    CHECK(list[1].get() == "\\");
    CHECK(list[2].elements().size() == 2 && list[2].elements("/1")[0].get<int>() == 2);
    CHECK(list[3].get("/k") == "}");
    CHECK(list[4].get<int>() == 5);
    CHECK(list[5].get() == "");
    CHECK(json.elements("/empty").empty() && json.elements("/a").empty() && json.elements("/none").empty());
    CHECK(json.elements("/one").size() == 1);

    // A view needs no NUL at its end; with one inside it is not JSON.
    CHECK(mde::document(std::string_view("12345", 3)).get<int>() == 123);
    CHECK(mde::document(std::string_view("[1]\0,2]", 7)).text().empty());
    CHECK(!mde::document("{").get() && !mde::document().get() && mde::document().text().empty());
    const mde::document copy = json;
    CHECK(copy.text().data() == json.text().data());
}

// A long list takes time in proportion to its length.
void long_documents() {
    std::string text = "[";
    for (int n = 0; n < 100000; ++n) {
        text += (n > 0 ? "," : "") + ("{\"name\":\"a,]\\\"" + std::to_string(n)) + "\"}";
    }
    text += "]";
    const auto elements = mde::document(text).elements();
    CHECK(elements.size() == 100000);
    CHECK(elements[99999].get("/name") == "a,]\"99999");
}

void options() {
    mde::options options;
    CHECK(options.set("timeout_ms", 30s));
    CHECK(options.set("timeout_ms", 86400001ms).error().status() == mde::status::config);
    CHECK(options.set("timeout_ms", real_seconds(1.5)) && options.set("timeout_ms", 10us));
    CHECK(mde::detail::to_ms(real_seconds(0.1), 0) == 100 && mde::detail::to_ms(real_seconds(0.0501), 0) == 51);
    CHECK(mde::detail::to_ms(std::chrono::duration<float>(0.1F), 0) == 100 && mde::detail::to_ms(1001us, 0) == 2);
    const auto refuses = [&](auto duration) {
        return options.set("timeout_ms", duration).error().message().find("0 to 86400000") != std::string::npos;
    };
    CHECK(refuses(std::chrono::hours::max()) && refuses(std::chrono::hours::min()) && refuses(-1ms));
    CHECK(refuses(real_seconds(INFINITE)) && refuses(real_seconds(NOT_A_NUMBER)) && refuses(real_seconds(1e300)));
    CHECK(options.set("max_retries", 2));
    CHECK(options.set_json(R"({"cloud":"eu"})"));
    CHECK(options.set_json("[]").error().status() != mde::status::ok);

    const auto refused = options.set("cloud", "mars");
    CHECK(!refused && refused.error().status() == mde::status::config);
    CHECK(refused.error().message().find("`cloud`") != std::string::npos);
    CHECK(refused.error().json().get("/error/name") == "config");
    CHECK(std::string(refused.error().what()) == "config (4): " + refused.error().message());
    CHECK(!refused.error().action() && !refused.error().retryable() && !refused.error().retry_after() && !refused.error().http_status());
    const auto thrown = thrown_by<mde::error>([&] { options.set("nonsense", "1").value(); });
    CHECK(thrown.status() == mde::status::config);

    struct both {
        operator const char *() const { return "eu"; }
        operator std::string_view() const { return "eu"; }
    };
    CHECK(options.set("cloud", both{}));

    // Cut out of a longer text, and with a NUL inside.
    CHECK(options.set(std::string_view("cloudy").substr(0, 5), std::string_view("eux").substr(0, 2)));
    const auto cut = options.set("user_agent", std::string_view("agent\0/1.0", 10));
    CHECK(cut.error().status() == mde::status::invalid_argument);
    CHECK(cut.error().message() == "value has a NUL (U+0000) inside");
    CHECK(options.set("user_agent", "\xff").error().status() == mde::status::utf8);

    // What std::getenv() gives for a variable that is not set.
    const char *const unset = nullptr;
    const auto null = [](const mde::error &error, const char *argument) {
        return error.status() == mde::status::null && error.message().find(argument) != std::string::npos;
    };
    CHECK(null(options.set("cloud", unset).error(), "`value`"));
    CHECK(null(options.set(unset, "eu").error(), "`name`"));
    CHECK(null(options.set_json(unset).error(), "`json`"));
    CHECK(null(mde::inspect_package(unset).error(), "`path`"));
    CHECK(mde::document(unset).text().empty() && !mde::document("{}").get(unset));
    // A path is good for any option.
    CHECK(options.set("quota_file", std::filesystem::path(FOLDER) / "quota"));

    mde::options moved = std::move(options);
    CHECK(moved.set("cloud", "eu"));
    CHECK(options.set("cloud", "eu").error().status() == mde::status::null);
    CHECK(options.set_token_provider([](auto) { return std::nullopt; }).error().status() == mde::status::null);
    CHECK(moved.set_token_provider(nullptr).error().status() == mde::status::null);

    CHECK(thrown_by<mde::error>([] { mde::client client{mde::options()}; }).status() == mde::status::config);
    CHECK(mde::client::make(moved).error().status() == mde::status::config);
}

// The side of a result that is not there: a mistake, and no access to nothing.
void mistakes() {
    mde::options options;
    const auto good = options.set("cloud", "eu");
    auto bad = mde::inspect_package(FOLDER);
    CHECK(std::string(thrown_by<std::logic_error>([&] { (void)good.error(); }).what()).find("succeeded") != std::string::npos);
    CHECK(std::string(thrown_by<std::logic_error>([&] { (void)*bad; }).what()).find("failed") != std::string::npos);
    thrown_by<std::logic_error>([&] { (void)bad->path; });
    thrown_by<std::logic_error>([&] { (void)*std::move(bad); });
}

void the_steps() {
    const mde::client client(service_options());
    const auto collected = client.collect_package(machine(0), "case 4711").value();
    const std::string action = collected.action.id;
    CHECK(!collected.adopted && collected.json.get<bool>("/adopted") == false);
    CHECK(collected.json.get("/action/id") == action && collected.action.json.get("/id") == action);
    std::set<std::string> stages;
    CHECK(client.wait_action(action, [&](const auto &event) {
        stages.insert(event.stage());
        CHECK(event.action_id() == action && event.elapsed() >= 0ms && event.next_poll() >= 0ms);
    }));
    const mde::machine_action now = client.get_action(action).value();
    CHECK(now.id == action && now.status == "Succeeded" && now.is_final() && now.machine_id == machine(0));
    CHECK(now.kind == "CollectInvestigationPackage" && now.requestor_comment == "case 4711" && now.created);
    CHECK(now.json.get("/id") == action);
    const auto listed = client.list_actions().value();
    CHECK(listed.actions.size() == 1 && listed.actions[0].id == action && listed.actions[0].json.get("/id") == action);
    CHECK(listed.json.elements("/actions").size() == 1);
    CHECK(client.list_actions("status eq 'Failed'")->actions.empty());
    CHECK(client.get_package_uri(action)->uri.rfind("http", 0) == 0);
    const auto found = client.find_machines(machine(0)).value();
    CHECK(found.machines.size() == 1 && found.machines[0].id == machine(0) && !found.more);
    CHECK(found.machines[0].json.get("/computerDnsName") == found.machines[0].name && found.machines[0].name);
    const auto late = client.cancel_action(action, "too late").value();
    CHECK(!late.cancelled && late.action.id == action && late.json.get<bool>("/cancelled") == false);
    const auto access = client.check_access().value();
    CHECK(access.ok && access.steps.size() == 6 && access.identity->kind == "application" && access.api_host);
    const auto quota = client.get_quota().value();
    CHECK(quota.known && quota.quotas.size() > 1 && quota.log.kind == "process");
    for (const mde::quota_window &one : quota.quotas) {
        CHECK(!one.endpoint.empty() && one.limit == 9999 && one.window == 60s && one.used && one.in_flight == 0U);
        CHECK(one.available_in == 0ms && !one.closed_for && one.queued == 0U);
    }

    const std::filesystem::path path = std::filesystem::path(FOLDER) / "Fälle 4711.zip";
    const auto downloaded = client.download_package(action, path, [&](const auto &event) {
        stages.insert(event.stage());
        CHECK(event.bytes() <= event.total().value_or(UINT64_MAX));
    }).value();
    CHECK((stages == std::set<std::string>{"download", "verify", "wait"}));
    CHECK(std::filesystem::file_size(path) == downloaded.bytes);
    CHECK(downloaded.action_id == action && downloaded.machine_id == machine(0) && !downloaded.existing);
    CHECK(downloaded.files.empty() && downloaded.path == FOLDER + "/Fälle 4711.zip");

    const auto inspected = mde::inspect_package(path).value();
    CHECK(inspected.sha256 == downloaded.sha256 && inspected.sha256.size() == 64 && !inspected.action_id);
    CHECK(inspected.files.size() == inspected.entries && inspected.entries == downloaded.entries);
    std::uint64_t unpacked = 0;
    for (const mde::entry &file : inspected.files) {
        CHECK(!file.name.empty() && file.crc32.size() == 8 && file.json.get("/name") == file.name);
        unpacked += file.bytes;
    }
    CHECK(unpacked == inspected.bytes_uncompressed);
    std::set<std::string> checked;
    CHECK(mde::inspect_package(path, [&](const auto &event) { checked.insert(event.stage()); }));
    CHECK(checked == std::set<std::string>{"verify"});
    const auto thrown = mde::inspect_package(path, [](const auto &) { throw surprise("from the callback"); });
    CHECK(thrown.error().status() == mde::status::cancelled && thrown.error().cause() != nullptr);
    const mde::cancellation cancel;
    cancel.trigger();
    CHECK(mde::inspect_package(path, nullptr, cancel).error().status() == mde::status::cancelled);
    CHECK(mde::inspect_package(path, nullptr, 1h));
    CHECK(mde::inspect_package(FOLDER).error().status() == mde::status::file);
    CHECK(mde::inspect_package(std::string_view("a\0b", 3)).error().message() == "path has a NUL (U+0000) inside");
}

void fetching_and_failing() {
    mde::client client(service_options());
    int events = 0;
    const std::string file = FOLDER + "/fetched.zip";
    const auto fetched = client.fetch_package(machine(1), "case 4711", file, [&](const auto &) { ++events; }).value();
    CHECK(events > 3 && fetched.package.path == file && fetched.action.id == fetched.package.action_id);
    CHECK(fetched.json.get("/package/sha256") == fetched.package.sha256);

    const auto unknown = client.collect_package("0123456789012345678901234567890123456789", "case 4711");
    CHECK(unknown.error().status() == mde::status::not_found && unknown.error().http_status() == 404);
    CHECK(unknown.error().request_id() && !unknown.error().outcome_unknown() && unknown.error().stage() == "reply");
    const auto cut = client.collect_package(std::string_view("m\0", 2), "case");
    CHECK(cut.error().message() == "machine_id has a NUL (U+0000) inside");
    CHECK(client.collect_package(machine(0), "").error().status() == mde::status::invalid_argument);

    mde::client moved = std::move(client);
    CHECK(moved.list_actions());
    CHECK(client.list_actions().error().status() == mde::status::null);
    // The one it had goes, and its connections with it.
    client = std::move(moved);
    client = mde::client(service_options());
    CHECK(client.list_actions());
    CHECK(client.shutdown(1s));
    CHECK(client.list_actions().error().status() == mde::status::closed);
}

// From another thread, after a time, and by what a callback says.
void stopping() {
    mde::client client(service_options());
    const std::string stalled = required("MDE_TEST_STALLED_MACHINE");
    mde::cancellation cancel;
    std::thread other([&] {
        std::this_thread::sleep_for(200ms);
        cancel.trigger();
    });
    const auto stopped = client.collect_package(stalled, "case 4711", cancel);
    other.join();
    CHECK(stopped.error().status() == mde::status::cancelled);
    CHECK(stopped.error().outcome_unknown());
    CHECK(client.list_actions("", cancel).error().status() == mde::status::cancelled);
    // A trigger belongs to the handle, wherever that goes.
    mde::cancellation moved = std::move(cancel);
    CHECK(client.list_actions("", moved).error().status() == mde::status::cancelled);
    moved = mde::cancellation(1h);
    CHECK(client.list_actions("", moved));

    CHECK(client.collect_package(stalled, "case 4711", 200ms).error().status() == mde::status::deadline);
    CHECK(client.collect_package(stalled, "case 4711", 0s).error().status() == mde::status::deadline);
    CHECK(client.collect_package(stalled, "case 4711", -1h).error().status() == mde::status::deadline);
    CHECK(client.collect_package(stalled, "case 4711", real_seconds(0.2)).error().status() == mde::status::deadline);
    for (const double none : {-INFINITE, -1e300, NOT_A_NUMBER}) {
        CHECK(client.collect_package(stalled, "case 4711", real_seconds(none)).error().status() == mde::status::deadline);
    }
    CHECK(client.collect_package(stalled, "case 4711", std::chrono::hours::min()).error().status() == mde::status::deadline);
    CHECK(client.list_actions("", std::chrono::milliseconds::max()));
    CHECK(client.list_actions("", std::chrono::nanoseconds::max()));
    CHECK(client.list_actions("", std::chrono::hours::max()));
    CHECK(client.list_actions("", real_seconds(INFINITE)) && client.list_actions("", real_seconds(1e300)));
    CHECK(client.list_actions("", std::chrono::duration<unsigned char, std::ratio<86400>>(1)));
    CHECK(client.list_actions("", 30000000us));

    const std::string action = client.collect_package(machine(2), "case 4711")->action.id;
    const auto by_callback = client.wait_action(action, [](const auto &event) { event.stop(); });
    CHECK(by_callback.error().status() == mde::status::cancelled && by_callback.error().cause() == nullptr);
    CHECK(client.wait_action(action));
}

#if defined(__cpp_lib_jthread)
void stop_tokens() {
    mde::client client(service_options());
    const std::string stalled = required("MDE_TEST_STALLED_MACHINE");
    std::optional<mde::status> seen;
    {
        std::jthread worker([&](std::stop_token stop) {
            seen = client.collect_package(stalled, "case 4711", stop).error().status();
        });
        std::this_thread::sleep_for(200ms);
    }
    CHECK(seen == mde::status::cancelled);

    std::stop_source source;
    CHECK(client.list_actions("", source.get_token()));
    CHECK(client.collect_package(stalled, "case 4711", {source.get_token(), 200ms}).error().status() ==
          mde::status::deadline);
    mde::cancellation cancel(source.get_token());
    mde::cancellation moved = std::move(cancel);
    {
        const mde::cancellation gone(source.get_token());
    }
    moved = mde::cancellation(source.get_token());
    source.request_stop();
    CHECK(client.list_actions("", moved).error().status() == mde::status::cancelled);
    CHECK(client.list_actions("", source.get_token()).error().status() == mde::status::cancelled);
}
#endif

// What a callback throws comes out of the call, with all that is known of the action beside it.
void exceptions_in_progress() {
    mde::client client(service_options());
    const std::string action = client.collect_package(machine(3), "case 4711")->action.id;
    const auto callback = [](const mde::progress_event &) { throw surprise("from the callback"); };
    const auto held = client.wait_action(action, callback);
    CHECK(held.error().status() == mde::status::cancelled && held.error().cause() != nullptr);
    CHECK(held.error().json().get("/error/action/id") == action && held.error().action()->id == action);
    CHECK(std::string(thrown_by<surprise>([&] { client.wait_action(action, callback).value(); }).what()) ==
          "from the callback");
    // When all has come, too.
    const std::string file = FOLDER + "/thrown.zip";
    const auto at_the_end = [](const mde::progress_event &event) {
        if (event.stage() == "verify") {
            throw surprise("at the end");
        }
    };
    thrown_by<surprise>([&] { client.fetch_package(machine(3), "case 4711", file, at_the_end).value(); });
    // A call in a callback has its own.
    const auto fetched = client.fetch_package(machine(3), "case 4711", file, [&](const auto &) {
        CHECK(client.wait_action(action, callback).error().cause() != nullptr);
    });
    CHECK(fetched);
}

void tokens() {
    const std::string token = required("MDE_TEST_TOKEN");
    std::atomic<int> asked{0};
    auto counted = std::make_shared<int>(0);
    std::optional<mde::client> client;
    {
        mde::options options = unsigned_options();
        CHECK(options.set_token_provider([&asked, counted, token](std::string_view scope) {
            ++asked;
            CHECK(scope.find("/.default") != std::string_view::npos);
            return mde::token{token, 1h};
        }));
        client.emplace(options);
        // Another function for clients to come; the one that is there keeps its own.
        CHECK(options.set_token_provider([](auto) { return std::nullopt; }));
        const auto refused = mde::client(options).list_actions();
        CHECK(refused.error().status() == mde::status::token && refused.error().cause() == nullptr);
    }
    CHECK(counted.use_count() == 2);
    mde::client moved = std::move(*client);
    client.reset();
    CHECK(moved.list_actions() && moved.list_actions() && asked == 1);
    moved = mde::client(service_options());
    CHECK(counted.use_count() == 1);

    mde::options options = unsigned_options();
    std::atomic<int> state{0};
    CHECK(options.set_token_provider([&](auto) -> std::optional<mde::token> {
        switch (state) {
        case 0: throw surprise("no token today");
        case 1: return mde::token{std::string("ab\0cd", 5), {}};
        case 2: return mde::token{"a b", 1s};
        default: return mde::token{token, -1s};
        }
    }));
    mde::client late(options);
    CHECK(std::string(thrown_by<surprise>([&] { late.list_actions().value(); }).what()) == "no token today");
    CHECK(late.list_actions().error().status() == mde::status::token);
    CHECK(late.list_actions().error().cause() != nullptr);
    for (state = 1; state < 3; ++state) {
        const auto refused = late.list_actions();
        CHECK(refused.error().status() == mde::status::token && refused.error().cause() == nullptr);
        CHECK(refused.error().message().find("returned 3") != std::string::npos);
    }
    CHECK(late.list_actions());
}

// The certificate's key is nobody's, so no signature fits it.
void signers() {
    const auto held = std::make_shared<int>(4711);
    {
        mde::options options = unsigned_options();
        options.set("client_certificate", required("MDE_TEST_CERTIFICATE")).value();
        std::atomic<int> state{0};
        CHECK(options.set_signer([&state, held](const mde::signing_request &request)
                                     -> std::optional<std::vector<std::uint8_t>> {
            CHECK(request.algorithm == "PS256" && request.data != nullptr && request.size > 100);
            CHECK(request.time_left() > std::chrono::milliseconds(0) && request.time_left() <= 5s);
            switch (state) {
            case 0: throw surprise("no key today");
            case 1: return std::nullopt;
            case 2: return std::vector<std::uint8_t>();
            default: return std::vector<std::uint8_t>(256, 1);
            }
        }));
        CHECK(options.set_signer(nullptr).error().status() == mde::status::null);
        mde::client client(options);
        CHECK(std::string(thrown_by<surprise>([&] { client.list_actions("", 5s).value(); }).what()) == "no key today");
        for (state = 1; state < 4; ++state) {
            const auto refused = client.list_actions("", 5s);
            CHECK(refused.error().status() == mde::status::token && refused.error().cause() == nullptr);
        }
        CHECK(client.list_actions("", 5s).error().message().find("does not fit `client_certificate`") != std::string::npos);
        CHECK(held.use_count() == 2);
    }
    CHECK(held.use_count() == 1);
}

// A function that the library keeps is destroyed once, and as soon as it can.
void callbacks_are_freed() {
    const auto held = std::make_shared<int>(4711);
    const auto provider = [held](auto) -> std::optional<mde::token> { return std::nullopt; };
    const auto holders = [&] { return held.use_count() - 2; };
    {
        mde::options options = unsigned_options();
        // Two statements: the argument of a call may live as long as the statement.
        CHECK(options.set_token_provider(provider));
        CHECK(holders() == 1);
        CHECK(options.set_token_provider(provider));
        CHECK(holders() == 1);
        const mde::options moved = std::move(options);
        CHECK(options.set_token_provider(provider).error().status() == mde::status::null);
        CHECK(holders() == 1);
        std::optional<mde::client> client(moved);
        std::optional<mde::client> second(moved);
        CHECK(holders() == 1);
        client.reset();
        CHECK(holders() == 1 && !second->list_actions());
    }
    CHECK(holders() == 0);

    const auto log = [held](mde::log_level, std::string_view) {};
    const long others = held.use_count();
    CHECK(mde::set_log(mde::log_level::error, log));
    CHECK(held.use_count() == others + 1);
    CHECK(mde::set_log(mde::log_level::error, log));
    CHECK(held.use_count() == others + 1);
    CHECK(!mde::set_log(mde::log_level(77), log));
    CHECK(held.use_count() == others + 1);
    CHECK(mde::set_log(mde::log_level::off, log));
    CHECK(held.use_count() == others);
    CHECK(mde::set_log(mde::log_level::error, log) && mde::set_log(mde::log_level::error, nullptr));
    CHECK(held.use_count() == others);

    // One that replaces itself lives until it returns.
    auto alive = std::make_shared<int>(4711);
    const std::weak_ptr<int> watched = alive;
    int lines = 0;
    CHECK(mde::set_log(mde::log_level::debug, [&lines, kept = std::move(alive)](auto, auto) {
        CHECK(mde::set_log(mde::log_level::off, nullptr));
        lines += *kept == 4711 ? 1 : 1000;
    }));
    CHECK(mde::client(service_options()).list_actions() && lines == 1 && watched.expired());
}

void logging() {
    std::mutex mutex;
    std::size_t lines = 0;
    CHECK(mde::set_log(mde::log_level::debug, [&](mde::log_level level, std::string_view line) {
        const std::lock_guard<std::mutex> guard(mutex);
        CHECK(level >= mde::log_level::error && level <= mde::log_level::debug);
        CHECK(!line.empty() && line.find('\n') == std::string_view::npos);
        ++lines;
        throw surprise("a full disk");
    }));
    mde::client client(service_options());
    CHECK(client.list_actions());
    CHECK(lines > 0);
    const std::size_t before = lines;
    CHECK(mde::set_log(mde::log_level::off, [](auto, auto) { CHECK(false); }));
    CHECK(client.list_actions() && lines == before);
    CHECK(mde::set_log(mde::log_level::info, nullptr));
    CHECK(mde::set_log(mde::log_level(77), [](auto, auto) {}).error().status() == mde::status::invalid_argument);
}

void threads() {
    mde::client client(service_options());
    std::atomic<int> good{0};
    std::vector<std::thread> all;
    for (std::size_t n = 0; n < 8; ++n) {
        all.emplace_back([&, n] {
            for (int round = 0; round < 5; ++round) {
                int events = 0;
                auto collected = client.collect_package(machine(n % 4), "case 4711");
                // The collection of another thread may end while this call searches for it.
                while (!collected && collected.error().retryable()) {
                    collected = client.collect_package(machine(n % 4), "case 4711");
                }
                CHECK(collected.has_value());
                const auto waited = client.wait_action(collected->action.id,
                                                       [&](const auto &) { ++events; });
                good += collected && waited && events > 0 && client.list_actions() ? 1 : 0;
            }
        });
    }
    for (auto &thread : all) {
        thread.join();
    }
    CHECK(good == 40);
}

// Destroyed while calls run: they end first.
void destruction() {
    std::optional<mde::client> client(service_options());
    std::atomic<int> closed{0};
    std::vector<std::thread> all;
    for (int n = 0; n < 4; ++n) {
        all.emplace_back([&] {
            const auto answer = client->collect_package(required("MDE_TEST_STALLED_MACHINE"), "case 4711");
            closed += answer.error().status() == mde::status::closed ? 1 : 0;
        });
    }
    std::this_thread::sleep_for(500ms);
    // All calls may have ended by the time that it looks.
    const auto shuts = [&](auto timeout) {
        const auto ended = client->shutdown(timeout);
        return ended || ended.error().status() == mde::status::deadline;
    };
    CHECK(shuts(0ms));
    CHECK(shuts(-1h));
    CHECK(shuts(real_seconds(NOT_A_NUMBER)));
    client.reset();
    for (auto &thread : all) {
        thread.join();
    }
    CHECK(closed == 4);
    client.emplace(service_options());
    CHECK(client->shutdown(std::chrono::hours::max()));
}

// Destroyed while its token function runs: that keeps what it has captured until it is through.
void destruction_in_a_token_function() {
    std::atomic<bool> inside{false};
    std::atomic<bool> kept{false};
    std::optional<mde::client> client;
    {
        mde::options options = unsigned_options();
        auto captured = std::make_shared<int>(4711);
        const std::weak_ptr<int> watched = captured;
        CHECK(options.set_token_provider([&inside, &kept, watched, captured](auto) -> std::optional<mde::token> {
            const std::weak_ptr<int> look = watched;
            std::atomic<bool> &answer = kept;
            inside = true;
            std::this_thread::sleep_for(300ms);
            answer = !look.expired();
            return std::nullopt;
        }));
        client.emplace(options);
    }
    std::thread caller([&] { CHECK(!client->list_actions()); });
    while (!inside) {
        std::this_thread::sleep_for(1ms);
    }
    client.reset();
    CHECK(kept);
    caller.join();
}

}  // namespace

int main() {
    const auto run = [](const char *name, void (*part)()) {
        std::puts(name);
        std::fflush(stdout);
        part();
    };
    run("the library", the_library);
    run("documents", documents);
    run("long documents", long_documents);
    run("options", options);
    run("mistakes", mistakes);
    run("the steps", the_steps);
    run("fetching and failing", fetching_and_failing);
    run("stopping", stopping);
#if defined(__cpp_lib_jthread)
    run("with stop_token", stop_tokens);
#endif
    run("exceptions in progress", exceptions_in_progress);
    run("tokens", tokens);
    run("signers", signers);
    run("callbacks are freed", callbacks_are_freed);
    run("logging", logging);
    run("threads", threads);
    run("destruction", destruction);
    run("destruction in a token function", destruction_in_a_token_function);
    std::puts("all checks passed");
    return 0;
}
