/*
 * fetch: gets an investigation package of one device through Microsoft Defender for Endpoint, from the
 * request to a checked file.
 *
 * A small but complete program around mde.hpp, in ISO C++17, the same on Linux and Windows. It shows
 * settings, progress, Ctrl-C, exit codes by which a script knows whether to retry, and what is in the package.
 *
 *     c++ -std=c++17 fetch.cpp -lmde -pthread -o fetch
 */
#include <mde.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#ifdef _WIN32
#include <windows.h>

#include <shellapi.h>
#endif

namespace {

constexpr const char *usage =
    "usage: fetch --machine ID --comment TEXT [--out PATH] [--option NAME=VALUE]... [--log LEVEL] [--json]\n"
    "\n"
    "Collects an investigation package from a device through Microsoft Defender for Endpoint, downloads\n"
    "and checks it, and prints where it is and what is in it. A collection that runs already is used.\n"
    "\n"
    "  --machine ID           the device id\n"
    "  --comment TEXT         why, for the audit trail of the tenant\n"
    "  --out PATH             the file to make, or a folder to make it in; the current folder if not given\n"
    "  --option NAME=VALUE    an option of the library (docs/options.md), for example cloud=eu; may be repeated\n"
    "  --log LEVEL            error, warn, info or debug: write log lines to stderr\n"
    "  --json                 print the library's JSON document instead, on failure as well\n"
    "\n"
    "MDE_TENANT_ID, MDE_CLIENT_ID and MDE_CLIENT_SECRET in the environment are the credentials.\n"
    "\n"
    "Ctrl-C cancels the call. Run the same command to resume, now or tomorrow.\n"
    "\n"
    "Exit codes: 0 the package is there; 1 it failed or was cancelled; 2 the command line is wrong;\n"
    "3 it failed, but may succeed when tried again later.\n";

enum exit_code { done = 0, failed = 1, wrong_usage = 2, later = 3 };

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/* Replaces control characters, which could rewrite what a terminal shows. */
std::string safe(std::string text) {
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        /* Those from U+0080 to U+009F are two bytes. */
        const bool second = at > 0 && text[at - 1] == '\xc2' && byte >= 0x80 && byte <= 0x9f;
        if (byte < 0x20 || byte == 0x7f || second) {
            text[second ? at - 1 : at] = ' ';
            text[at] = ' ';
        }
    }
    return text;
}

/* ---- text from the system --------------------------------------------------------------------- */

#ifdef _WIN32

/* On Windows, char text is in a code page that lacks most names, but the library takes UTF-8. */
std::string to_utf8(const wchar_t *wide) {
    const int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, nullptr, 0, nullptr, nullptr);
    if (size <= 0) {
        throw std::runtime_error("an argument or environment variable is not Unicode");
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    WideCharToMultiByte(CP_UTF8, 0, wide, -1, text.data(), size, nullptr, nullptr);
    text.pop_back();
    return text;
}

std::vector<std::string> arguments(int, char **) {
    int count = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    std::vector<std::string> all;
    for (int n = 1; wide != nullptr && n < count; ++n) {
        all.push_back(to_utf8(wide[n]));
    }
    LocalFree(wide);
    SetConsoleOutputCP(CP_UTF8);
    return all;
}

/* The names of these variables are ASCII. */
std::optional<std::string> variable(std::string_view name) {
    const wchar_t *value = _wgetenv(std::wstring(name.begin(), name.end()).c_str());
    return value != nullptr ? std::optional(to_utf8(value)) : std::nullopt;
}

#else

std::vector<std::string> arguments(int argc, char **argv) {
    return {argv + 1, argv + argc};
}

std::optional<std::string> variable(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

#endif

/* ---- settings --------------------------------------------------------------------------------- */

struct settings {
    std::map<std::string, std::string> given = {{"--out", "."}, {"--machine", ""}, {"--comment", ""}, {"--log", "off"}};
    std::vector<std::pair<std::string, std::string>> options{};
    bool json = false;
    bool help = false;
};

/* Secrets on a command line can be read by other users of the machine, and shells keep them in files. */
std::pair<std::string, std::string> name_and_value(const std::string &pair) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos) {
        throw usage_error("--option wants NAME=VALUE, not " + pair);
    }
    const std::string name = pair.substr(0, equals);
    if (name == "client_secret" || name == "access_token" || name == "certificate_password") {
        throw usage_error("secrets do not belong on a command line: " + name);
    }
    return {name, pair.substr(equals + 1)};
}

settings read(const std::vector<std::string> &words) {
    settings s;
    for (const auto &[name, option] : {std::pair("MDE_TENANT_ID", "tenant_id"), std::pair("MDE_CLIENT_ID", "client_id"),
                                           std::pair("MDE_CLIENT_SECRET", "client_secret")}) {
        if (const auto value = variable(name); value && !value->empty()) {
            s.options.emplace_back(option, *value);
        }
    }
    for (auto word = words.begin(); word != words.end(); ++word) {
        if (*word == "--help" || *word == "--json") {
            (*word == "--json" ? s.json : s.help) = true;
            continue;
        }
        const std::string argument = *word;
        if (argument != "--option" && s.given.count(argument) == 0) {
            throw usage_error("unknown argument: " + argument);
        }
        if (++word == words.end()) {
            throw usage_error("a value must follow " + argument);
        }
        if (argument == "--option") {
            s.options.push_back(name_and_value(*word));
        } else {
            s.given[argument] = *word;
        }
    }
    if (!s.help && (s.given["--machine"].empty() || s.given["--comment"].empty())) {
        throw usage_error("--machine and --comment are needed");
    }
    return s;
}

void start_log(const std::string &wanted) {
    static const char *const names[] = {"off", "error", "warn", "info", "debug"};
    for (std::int32_t level = MDE_LOG_OFF; level <= MDE_LOG_DEBUG; ++level) {
        if (wanted == names[level]) {
            mde::set_log(mde::log_level(level), [](mde::log_level of, std::string_view line) {
                std::cerr << std::string(names[static_cast<int>(of)]) + ' ' + std::string(line) + '\n';
            }).value();
            return;
        }
    }
    throw usage_error("--log wants error, warn, info or debug, not " + wanted);
}

/* Throws if an option is refused. The message names what is accepted. */
mde::client connect(const settings &s) {
    mde::options options;
    for (const auto &[name, value] : s.options) {
        options.set(name, value).value();
    }
    return mde::client(options);
}

/* ---- Ctrl-C ----------------------------------------------------------------------------------- */

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may use only lock-free atomics");

/* The first one cancels, the second ends the program. */
extern "C" void on_signal(int number) {
    interrupted = true;
    std::signal(number, SIG_DFL);
}

/* While it lives, Ctrl-C triggers the cancellation. That takes locks, so the signal handler only sets a flag,
 * which a thread reads. */
class interrupts {
public:
    explicit interrupts(const mde::cancellation &cancel) : watcher_([this, &cancel] {
        while (!over_) {
            if (interrupted) {
                cancel.trigger();
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    }) {
        std::signal(SIGINT, on_signal);
        std::signal(SIGTERM, on_signal);
    }
    interrupts(const interrupts &) = delete;
    interrupts &operator=(const interrupts &) = delete;
    ~interrupts() {
        std::signal(SIGINT, SIG_DFL);
        std::signal(SIGTERM, SIG_DFL);
        over_ = true;
        watcher_.join();
    }

private:
    std::atomic<bool> over_{false};
    std::thread watcher_;
};

/* ---- progress --------------------------------------------------------------------------------- */

/* Prints a line for each change, and one every few seconds. */
class display {
public:
    void operator()(const mde::progress_event &event) {
        const std::string stage = event.stage();
        const std::string state = stage + event.action_status().value_or("");
        const auto now = std::chrono::steady_clock::now();
        const bool whole = event.bytes() > 0 && event.total() == event.bytes();
        if (state == state_ && now - shown_ < std::chrono::seconds(5) && !whole) {
            return;
        }
        state_ = state;
        shown_ = now;
        if (stage == "collect") {
            std::cerr << "collecting   action " << safe(event.action_id().value_or("?"))
                      << (event.json().get<bool>("/adopted") == true ? ", which existed already\n" : ", started now\n");
        } else if (stage == "quota") {
            std::cerr << "queueing     for the quota of " << safe(event.endpoint().value_or("?"));
            if (const auto wait = event.wait()) {
                std::cerr << ", " << std::chrono::duration_cast<std::chrono::seconds>(*wait).count() << " s at least";
            }
            std::cerr << '\n';
        } else if (stage == "wait") {
            std::cerr << "waiting      " << safe(event.action_status().value_or("not listed yet")) << " after "
                      << std::chrono::duration_cast<std::chrono::seconds>(event.elapsed()).count() << " s\n";
        } else if (stage == "download" || stage == "verify") {
            std::cerr << (stage == "verify" ? "checking     " : "downloading  ") << event.bytes() << " of "
                      << (event.total() ? std::to_string(*event.total()) : "?") << " bytes\n";
        }
        /* Stages of later versions are ignored. */
    }

private:
    std::string state_{};
    std::chrono::steady_clock::time_point shown_{};
};

/* ---- the job ---------------------------------------------------------------------------------- */

void print(std::string_view label, const std::optional<std::string> &value) {
    if (value) {
        std::cout << std::left << std::setw(13) << label << safe(*value) << '\n';
    }
}

void print(const mde::fetched &fetched) {
    const mde::package &package = fetched.package;
    print("package", package.path);
    print("bytes", std::to_string(package.bytes));
    print("sha256", package.sha256);
    print("computer", package.computer_name);
    print("device", package.device);
    print("action", fetched.action.id);
    print("adopted", fetched.adopted ? "true" : "false");
    for (const std::string &missing : package.missing) {
        print("missing", missing);
    }
    const mde::package inspected = mde::inspect_package(package.path).value();
    print("entries", std::to_string(inspected.entries));
    for (const mde::entry &file : inspected.files) {
        std::cout << std::right << std::setw(12) << file.bytes << ' ' << safe(file.name) << '\n';
    }
}

exit_code report(const mde::error &error) {
    std::cerr << "fetch: " << safe(error.what()) << '\n';
    if (const auto request = error.request_id()) {
        std::cerr << "  request id " << safe(*request) << '\n';
    }
    if (const auto wait = error.retry_after()) {
        std::cerr << "  retry after " << wait->count() << " ms\n";
    }
    const bool transient = error.status() == mde::status::cancelled || error.retryable();
    if (transient && (error.action_id() || error.outcome_unknown())) {
        std::cerr << "fetch: run the same command to resume\n";
    }
    return error.retryable() ? later : failed;
}

exit_code fetch(const settings &s, const mde::client &client) {
    const mde::cancellation cancel;
    const interrupts watched(cancel);
    const auto fetched = client.fetch_package(s.given.at("--machine"), s.given.at("--comment"), s.given.at("--out"),
                                              display(), cancel);
    /* With --json, programs read stdout, so it gets the document of a failure too. */
    if (s.json) {
        std::cout << (fetched ? fetched->json : fetched.error().json()).text() << '\n';
    } else if (fetched) {
        print(*fetched);
    }
    if (!fetched) {
        return report(fetched.error());
    }
    if (!std::cout.flush()) {
        std::cerr << "fetch: the package is there, but stdout cannot be written\n";
        return failed;
    }
    return done;
}

}  // namespace

int main(int argc, char **argv) {
    try {
        const settings s = read(arguments(argc, argv));
        if (s.help) {
            std::cout << usage;
            return done;
        }
        start_log(s.given.at("--log"));
        return fetch(s, connect(s));
    } catch (const usage_error &wrong) {
        std::cerr << "fetch: " << wrong.what() << " (see fetch --help)\n";
        return wrong_usage;
    } catch (const mde::error &error) {
        report(error);
        return error.status() == mde::status::config ? wrong_usage : failed;
    } catch (const std::exception &error) {
        std::cerr << "fetch: " << error.what() << '\n';
        return failed;
    }
}
