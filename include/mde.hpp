/*
 * mde.hpp: mde.h for C++17 and later.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * One header, nothing to build: every function here is inline and calls the C function of the same name, whose
 * comment in mde.h says what it does, what it returns, which quota it spends and which permission it needs. What
 * C++ adds: handles that free themselves, functions as callbacks, std::chrono, and errors that cannot be overlooked.
 *
 *     mde::options options;
 *     options.set("tenant_id", tenant).value();
 *     options.set("client_id", app).value();
 *     options.set("client_secret", secret).value();
 *     mde::client client(options);
 *     mde::document fetched = client.fetch_package(machine, "case 4711", "4711.zip").value();
 *     std::cout << fetched.get<std::string>("/package/sha256").value_or("") << '\n';
 *
 * Errors, by choice. Every function that can fail returns a result<T>, which is used like C++23's std::expected.
 * The choice is made where it is used, in one word: value() gives the T or throws the mde::error; `if (auto r = ...)`
 * throws nothing, nor do then *r and, else, r.error(). So there is one set of functions, not two, and a result that
 * nobody looks at is a warning. Compiled with -fno-exceptions the header has all but value() and the
 * constructor of client that throws; memory that cannot be had ends the program then, as always without exceptions.
 *
 * Strings go in as whatever a std::string_view is made of and are copied; they need no NUL at the end. One that has
 * a NUL inside is an error, status::invalid_argument, and never cut short; a null pointer is status::null; both
 * messages name the argument. Strings are UTF-8, paths as well; std::filesystem::path is taken too, and converted.
 * The copies are wiped from memory, since some of them are secrets.
 *
 * Times go in as any std::chrono::duration and are rounded up to whole milliseconds. One that is too long for the C
 * functions, hours::max() or infinity, is the longest that they know; what is not a number counts as negative.
 *
 * Callbacks are std::function. An exception thrown in one never crosses the C library: it is caught, the call is
 * stopped, and value() throws it again on the thread that made the call; r.error().cause() has it. The document of
 * the error, with all that is known of the action, is there at the same time. Log callbacks are the exception to
 * this: what they throw is dropped, since a line that cannot be written is no reason to stop.
 *
 * Threads, stopping, files, secrets, fork: as in mde.h. A const member may be called from many threads at once.
 *
 * Versions. Every call compares the ABI of the library with that of the header first, and fails with
 * status::config when they differ.
 */

#ifndef MDE_HPP
#define MDE_HPP

#include "mde.h"

#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(_MSVC_LANG)
#define MDE_HPP_STANDARD _MSVC_LANG
#else
#define MDE_HPP_STANDARD __cplusplus
#endif
#if MDE_HPP_STANDARD < 201703L
#error "mde.hpp needs C++17 or later"
#endif
#if MDE_HPP_STANDARD >= 202002L && __has_include(<stop_token>)
#include <stop_token>
#endif

/* Parts of a program built with and without exceptions have types of their own: mixed up by the linker, a
 * function that catches could be replaced by one that does not. */
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define MDE_HPP_EXCEPTIONS 1
#define MDE_HPP_VARIANT v0
#else
#define MDE_HPP_EXCEPTIONS 0
#define MDE_HPP_VARIANT v0_without_exceptions
#endif

namespace mde {
inline namespace MDE_HPP_VARIANT {

/* ---- the library ------------------------------------------------------------------------------ */

/** The version of the library, for example "0.1.0". The header's own is MDE_HEADER_VERSION. */
inline std::string_view version() noexcept { return mde_version(); }

/** The ABI of the library. The header's own is MDE_HEADER_ABI_VERSION. */
inline std::uint32_t abi_version() noexcept { return mde_abi_version(); }

namespace detail {

/** Of a library of another ABI nothing may be called but the two functions above. */
inline bool abi_fits() noexcept { return mde_abi_version() == MDE_HEADER_ABI_VERSION; }

/** A mistake in the program, not a failure. */
[[noreturn]] inline void misused([[maybe_unused]] const char *how) {
#if MDE_HPP_EXCEPTIONS
    throw std::logic_error(how);
#else
    std::terminate();
#endif
}

}  // namespace detail

/** What became of a call: the MDE_ERR_ codes of mde.h. A later library may give numbers that have no name here. */
enum class status : std::int32_t {
    ok = MDE_OK,
    null = MDE_ERR_NULL,
    utf8 = MDE_ERR_UTF8,
    invalid_argument = MDE_ERR_INVALID_ARGUMENT,
    config = MDE_ERR_CONFIG,
    closed = MDE_ERR_CLOSED,
    forked = MDE_ERR_FORKED,
    token = MDE_ERR_TOKEN,
    unauthorized = MDE_ERR_UNAUTHORIZED,
    forbidden = MDE_ERR_FORBIDDEN,
    resolve = MDE_ERR_RESOLVE,
    connect = MDE_ERR_CONNECT,
    tls = MDE_ERR_TLS,
    proxy = MDE_ERR_PROXY,
    broken = MDE_ERR_BROKEN,
    protocol = MDE_ERR_PROTOCOL,
    bad_request = MDE_ERR_BAD_REQUEST,
    not_found = MDE_ERR_NOT_FOUND,
    already_running = MDE_ERR_ALREADY_RUNNING,
    not_ready = MDE_ERR_NOT_READY,
    action_failed = MDE_ERR_ACTION_FAILED,
    action_timed_out = MDE_ERR_ACTION_TIMED_OUT,
    action_cancelled = MDE_ERR_ACTION_CANCELLED,
    unsupported_device = MDE_ERR_UNSUPPORTED_DEVICE,
    outcome_unknown = MDE_ERR_OUTCOME_UNKNOWN,
    service = MDE_ERR_SERVICE,
    rate_limited = MDE_ERR_RATE_LIMITED,
    throttled = MDE_ERR_THROTTLED,
    deadline = MDE_ERR_DEADLINE,
    cancelled = MDE_ERR_CANCELLED,
    file = MDE_ERR_FILE,
    disk_full = MDE_ERR_DISK_FULL,
    integrity = MDE_ERR_INTEGRITY,
    internal = MDE_ERR_INTERNAL,
};

/** The name of a status, "rate_limited" for status::rate_limited; "unknown" for one that the library does not know. */
inline std::string_view name(status code) noexcept {
    return detail::abi_fits() ? mde_status_name(static_cast<std::int32_t>(code)) : "unknown";
}

/* ---- strings ---------------------------------------------------------------------------------- */

/**
 * A string argument, UTF-8, looked at during the call only: whatever a std::string_view can be made of, or a
 * std::filesystem::path. A null pointer, which is what std::getenv() gives for a variable that is not set, makes the
 * call fail with status::null.
 */
class string_arg {
public:
    /** The empty string. */
    string_arg() noexcept = default;
    string_arg(const char *text) noexcept : view_(text != nullptr ? text : ""), is_null_(text == nullptr) {}
    string_arg(std::nullptr_t) = delete;
    template <class Text, std::enable_if_t<std::is_convertible_v<const Text &, std::string_view> &&
                                               !std::is_pointer_v<std::decay_t<Text>>, int> = 0>
    string_arg(const Text &text) : view_(text) {}

    /** A std::filesystem::path, whose own char form is not UTF-8 on Windows; its header is not needed here. */
    template <class Path, class = decltype(std::declval<const Path &>().u8string())>
    string_arg(const Path &path) {
        const auto utf8 = path.u8string();
        converted_.assign(utf8.begin(), utf8.end());
        view_ = converted_;
    }

    string_arg(const string_arg &) = delete;
    string_arg &operator=(const string_arg &) = delete;

    /** Empty for a null pointer. */
    std::string_view view() const noexcept { return view_; }
    bool is_null() const noexcept { return is_null_; }
    /** Whether there is a NUL inside, at which C would cut it short. */
    bool has_nul() const noexcept { return view_.find('\0') != std::string_view::npos; }

private:
    std::string converted_;
    std::string_view view_;
    bool is_null_ = false;
};

/* ---- documents -------------------------------------------------------------------------------- */

/**
 * A JSON document, read without a JSON library. It never changes, so copies share the text and cost nothing.
 *
 * Each get() reads the text once more from its beginning: of a long document take a part first, and its
 * members out of that, as elements() does.
 */
class document {
public:
    /** No document: an empty text, in which nothing is found. */
    document() noexcept = default;

    /** Any JSON text. It is looked at when it is read; what is not JSON has no values. */
    explicit document(const string_arg &json) {
        if (!json.is_null() && !json.has_nul()) {
            auto copy = std::make_shared<const std::string>(json.view());
            text_ = std::shared_ptr<const char>(copy, copy->c_str());
        }
    }

    /** Takes over a string that a function of mde.h gave out; NULL makes no document. */
    static document adopt(char *from_library) {
        document adopted;
        if (from_library != nullptr) {
            adopted.text_ = std::shared_ptr<const char>(from_library, mde_string_free);
        }
        return adopted;
    }

    /** The whole text, for a JSON library or a log; ends with a NUL that is not counted. */
    std::string_view text() const noexcept { return text_ ? text_.get() : ""; }

    /**
     * The value at a JSON pointer (RFC 6901), for example "/action/id"; "" is the document itself.
     *
     * T: std::string (the text of a string without quotes and escapes, the JSON text of anything else); bool; any
     * integer type; std::chrono::milliseconds, for the members whose names end in _ms; or document, for an object or
     * array. Nothing if there is no such value, it is null, or not a T. (JSON's types are not kept apart further: the
     * string "12" is a number, too. A string with U+0000 in it cannot be had.)
     */
    template <class T = std::string>
    std::optional<T> get(const string_arg &pointer = {}) const {
        const document value = find(pointer);
        const std::string_view text = value.text();
        if (!value.text_) {
            return std::nullopt;
        }
        if constexpr (std::is_same_v<T, std::string>) {
            return std::string(text);
        } else if constexpr (std::is_same_v<T, document>) {
            return !text.empty() && (text[0] == '{' || text[0] == '[') ? std::optional<T>(value) : std::nullopt;
        } else if constexpr (std::is_same_v<T, bool>) {
            return text == "true" || text == "false" ? std::optional<T>(text == "true") : std::nullopt;
        } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
            const auto count = integer<std::chrono::milliseconds::rep>(text);
            return count ? std::optional<T>(*count) : std::nullopt;
        } else {
            static_assert(std::is_integral_v<T>,
                          "get<T>: T is std::string, bool, an integer, std::chrono::milliseconds or mde::document");
            return integer<T>(text);
        }
    }

    /**
     * The elements of the array at a JSON pointer, each a document of its own; none if there is no array. Takes time
     * in proportion to the text, however many they are. Of strings and numbers, get() without a pointer is the value.
     */
    std::vector<document> elements(const string_arg &pointer = {}) const {
        std::vector<document> found;
        const document array = find(pointer);
        const std::string_view text = array.text();
        if (text.empty() || text[0] != '[') {
            return found;
        }
        // It is known to be JSON, so the commas outside of strings and brackets are all that matters.
        std::size_t start = 1;
        std::size_t depth = 0;
        bool in_string = false;
        for (std::size_t at = 1; at < text.size(); ++at) {
            const char c = text[at];
            if (in_string) {
                at += c == '\\' ? 1U : 0U;
                in_string = c != '"';
            } else if (c == '"') {
                in_string = true;
            } else if (depth == 0 && (c == ',' || c == ']')) {
                const std::string_view element = text.substr(start, at - start);
                if (element.find_first_not_of(" \t\r\n") != std::string_view::npos) {
                    found.emplace_back(element);
                }
                start = at + 1;
            } else if (c == '[' || c == '{') {
                ++depth;
            } else if (c == ']' || c == '}') {
                --depth;
            }
        }
        return found;
    }

private:
    document find(const string_arg &pointer) const {
        char *value = nullptr;
        if (text_ && !pointer.is_null() && !pointer.has_nul() && detail::abi_fits()) {
            mde_json_get(text_.get(), std::string(pointer.view()).c_str(), &value);
        }
        return adopt(value);
    }

    template <class T>
    static std::optional<T> integer(std::string_view text) noexcept {
        T number = 0;
        const char *const end = text.data() + text.size();
        const auto [stopped, problem] = std::from_chars(text.data(), end, number);
        return problem == std::errc() && stopped == end ? std::optional<T>(number) : std::nullopt;
    }

    std::shared_ptr<const char> text_;
};

/* ---- errors ----------------------------------------------------------------------------------- */

/**
 * Why a call failed, and what to do about it. Thrown by result<T>::value(), held by result<T>::error(). what() is
 * for people: "rate_limited (80): the quota ...". Copies share the document and do not throw.
 */
class error : public std::runtime_error {
public:
    error(mde::status code, document json, std::exception_ptr cause = nullptr)
        : std::runtime_error(describe(code, json)), json_(std::move(json)), cause_(std::move(cause)), status_(code) {}

    /** One without a document: of functions that give none, or found by this header. */
    error(mde::status code, const std::string &message) : std::runtime_error(message), status_(code) {}

    mde::status status() const noexcept { return status_; }
    /** What happened and what to do, in English. */
    std::string message() const { return json_.get("/error/message").value_or(what()); }
    /** Whether the same call may succeed later. */
    bool retryable() const { return json_.get<bool>("/error/retryable").value_or(false); }
    /** When to come back, if that is known. */
    std::optional<std::chrono::milliseconds> retry_after() const {
        return json_.get<std::chrono::milliseconds>("/error/retry_after_ms");
    }
    /** Whether a request that changes something may have been carried out all the same: look before repeating it. */
    bool outcome_unknown() const { return json_.get("/error/outcome") == "unknown"; }
    /** The status of the HTTP reply, if there was one. */
    std::optional<int> http_status() const { return json_.get<int>("/error/http_status"); }
    /** Where it stopped: token, quota, send, reply, wait, link, download or verify. */
    std::optional<std::string> stage() const { return json_.get("/error/stage"); }
    /** The machine action that it is about. */
    std::optional<std::string> action_id() const { return json_.get("/error/action_id"); }
    /** What the service's support asks for. */
    std::optional<std::string> request_id() const { return json_.get("/error/request_id"); }
    /** The whole failure document, {"error":{...}}, or an empty one; "/error/action" is the action as last seen. */
    const document &json() const noexcept { return json_; }
    /** The exception of a callback that stopped the call; null if there was none. */
    const std::exception_ptr &cause() const noexcept { return cause_; }

private:
    static std::string describe(mde::status code, const document &json) {
        return std::string(name(code)) + " (" + std::to_string(static_cast<std::int32_t>(code)) +
               "): " + json.get("/error/message").value_or("no details");
    }

    document json_;
    std::exception_ptr cause_;
    mde::status status_;
};

/**
 * A T, or the error for which there is none. In the place of void is an empty std::monostate.
 *
 * value() is for programs with exceptions: it gives the T or throws, the exception of a callback if one stopped the
 * call, or else the mde::error. *r, r->x and error() are for after has_value(), or `if (r)`: *r of a failure and
 * error() of a success are mistakes, and throw std::logic_error; without exceptions they end the program.
 */
template <class T>
class [[nodiscard]] result {
    using held_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

public:
    result(held_type value) : held_(std::move(value)) {}
    result(mde::error problem) : held_(std::move(problem)) {}

    bool has_value() const noexcept { return held_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    held_type &operator*() & { return side<0>(held_); }
    const held_type &operator*() const & { return side<0>(held_); }
    held_type &&operator*() && { return std::move(side<0>(held_)); }
    held_type *operator->() { return &side<0>(held_); }
    const held_type *operator->() const { return &side<0>(held_); }
    const mde::error &error() const { return side<1>(held_); }

#if MDE_HPP_EXCEPTIONS
    const held_type &value() const & {
        check();
        return **this;
    }
    held_type value() && {
        check();
        return *std::move(*this);
    }

private:
    void check() const {
        if (!has_value()) {
            error().cause() ? std::rethrow_exception(error().cause()) : throw error();
        }
    }
#endif

private:
    template <std::size_t Side, class Held>
    static auto &side(Held &held) {
        if (held.index() != Side) {
            detail::misused(Side == 0 ? "mde::result: the value of a call that failed"
                                      : "mde::result: error() of a call that succeeded");
        }
        return *std::get_if<Side>(&held);
    }

    std::variant<held_type, mde::error> held_;
};

/* ---- callbacks -------------------------------------------------------------------------------- */

/** One event of a long operation; mde_progress_fn in mde.h lists the stages and their members. */
class progress_event {
public:
    progress_event(document json, bool &stopped) noexcept : json_(std::move(json)), stopped_(stopped) {}

    /** "quota", "collect", "wait", "download" or "verify"; a later library may have more, to be passed over. */
    std::string stage() const { return json_.get("/stage").value_or(""); }
    std::optional<std::string> action_id() const { return json_.get("/action_id"); }
    /** Of "quota": whose quota has no room now. */
    std::optional<std::string> endpoint() const { return json_.get("/endpoint"); }
    /** Of "quota": until it has, at least; nothing while that depends on other calls. */
    std::optional<std::chrono::milliseconds> wait() const {
        return json_.get<std::chrono::milliseconds>("/wait_ms");
    }
    /** Of "wait": the action's state; nothing while the service does not show the action. */
    std::optional<std::string> action_status() const { return json_.get("/status"); }
    /** Of "wait": since this call began to wait. */
    std::chrono::milliseconds elapsed() const {
        return json_.get<std::chrono::milliseconds>("/elapsed_ms").value_or(std::chrono::milliseconds::zero());
    }
    /** Of "wait": until the next look; zero after the last. */
    std::chrono::milliseconds next_poll() const {
        return json_.get<std::chrono::milliseconds>("/next_poll_ms").value_or(std::chrono::milliseconds::zero());
    }
    /** Of "download" and "verify": so far. */
    std::uint64_t bytes() const { return json_.get<std::uint64_t>("/bytes").value_or(0); }
    /** Of "download" and "verify"; nothing while it is not known. */
    std::optional<std::uint64_t> total() const { return json_.get<std::uint64_t>("/total"); }
    /** The whole event. */
    const document &json() const noexcept { return json_; }

    /** Ends the call with status::cancelled. A collection that has begun goes on; cancel_action() ends it. */
    void stop() const noexcept { stopped_ = true; }

private:
    document json_;
    bool &stopped_;
};

/** Called on the thread of the call, at most ten times a second. Not to destroy or shut down the client. */
using progress_fn = std::function<void(const progress_event &)>;

/** An access token and how long it is valid from now on; 0 if unknown, and then it is asked for again each time. */
struct token {
    std::string value;
    std::chrono::seconds expires_in{0};
};

/**
 * Gets an access token for a scope; nothing fails the call that needs it, with status::token. Called on the thread
 * of that call, by one thread at a time per client. Not to destroy or shut down the client.
 */
using token_fn = std::function<std::optional<token>(std::string_view scope)>;

enum class log_level : std::int32_t {
    off = MDE_LOG_OFF,
    error = MDE_LOG_ERROR,
    warn = MDE_LOG_WARN,
    info = MDE_LOG_INFO,
    debug = MDE_LOG_DEBUG,
};

/** Receives one line of text without secrets; from several threads at once. Not to call set_log(). */
using log_fn = std::function<void(log_level, std::string_view line)>;

/* ---- how calls are made ----------------------------------------------------------------------- */

namespace detail {

/** The compiler may not leave this out, though the text ends its life. */
inline void wipe(std::string &text) noexcept {
    volatile char *const bytes = text.data();
    for (std::size_t at = 0; at < text.size(); ++at) {
        bytes[at] = '\0';
    }
}

/** A string argument as C takes it, with its name. */
class text {
public:
    text(const char *argument, const string_arg &given)
        : name(argument), is_cut(given.has_nul()), is_null_(given.is_null()), value_(given.view()) {}
    ~text() { wipe(value_); }

    /** NULL as well: the C function has the words for that. */
    const char *c_str() const noexcept { return is_null_ ? nullptr : value_.c_str(); }

    const char *const name;
    const bool is_cut;

private:
    const bool is_null_;
    std::string value_;
};

/** What callbacks threw, on its way around the C library to the call on this thread in which it was thrown. */
struct frame {
    frame() noexcept : outer(innermost()) { innermost() = this; }
    frame(const frame &) = delete;
    frame &operator=(const frame &) = delete;
    ~frame() { innermost() = outer; }
    static frame *&innermost() noexcept {
        static thread_local frame *on_this_thread = nullptr;
        return on_this_thread;
    }

    std::exception_ptr from_progress;
    std::exception_ptr from_token;
    frame *const outer;
};

/** Runs a callback and keeps what it throws. */
template <class Callback>
std::exception_ptr thrown_by(const Callback &callback) noexcept {
#if MDE_HPP_EXCEPTIONS
    try {
        callback();
    } catch (...) {
        return std::current_exception();
    }
#else
    callback();
#endif
    return nullptr;
}

inline std::int32_t on_progress(void *user_data, const char *event_json) noexcept {
    bool stopped = false;
    const std::exception_ptr thrown = thrown_by([&] {
        (*static_cast<const progress_fn *>(user_data))(progress_event(document(event_json), stopped));
    });
    if (thrown) {
        frame::innermost()->from_progress = thrown;
    }
    return stopped || thrown ? 1 : 0;
}

inline std::int32_t on_token(void *user_data, const char *scope, mde_token_sink *sink) noexcept {
    std::int32_t code = MDE_ERR_TOKEN;
    const std::exception_ptr thrown = thrown_by([&] {
        if (std::optional<token> got = (*static_cast<const token_fn *>(user_data))(scope)) {
            const auto seconds = got->expires_in.count();
            code = got->value.find('\0') != std::string::npos
                       ? MDE_ERR_INVALID_ARGUMENT
                       : mde_token_set(sink, got->value.c_str(), seconds > 0 ? static_cast<std::uint64_t>(seconds) : 0);
            wipe(got->value);
        }
    });
    // None in a call by mde.h. What an earlier attempt in the same call threw is forgotten.
    if (frame::innermost() != nullptr) {
        frame::innermost()->from_token = thrown;
    }
    return code;
}

/** What a callback that the library keeps is freed with. */
template <class Callback>
void free_callback(void *user_data) noexcept { delete static_cast<Callback *>(user_data); }

inline void on_log(void *user_data, std::int32_t level, const char *message) noexcept {
    thrown_by([&] { (*static_cast<const log_fn *>(user_data))(static_cast<log_level>(level), message); });
}

inline mde_progress_fn function_of(const progress_fn &progress) noexcept { return progress ? &on_progress : nullptr; }

/** Valid as long as the function itself, which the caller of an operation keeps until it returns. */
inline void *data_of(const progress_fn &progress) noexcept { return const_cast<progress_fn *>(&progress); }

/**
 * Whole milliseconds, rounded up and kept between `least` and the most that their type holds; std::chrono's own
 * conversions overflow. What is not a number is `least`.
 */
template <class Rep, class Period>
std::int64_t to_ms(std::chrono::duration<Rep, Period> time, std::int64_t least) {
    // As exact as the time is: a tenth of a second in binary is a little more than that.
    using Exact = std::conditional_t<std::is_floating_point_v<Rep>, Rep, long double>;
    const long double ms = std::ceil(std::chrono::duration<Exact, std::milli>(time).count());
    if (!(ms > static_cast<long double>(least))) {
        return least;
    }
    return ms < 0x1p63L ? static_cast<std::int64_t>(ms) : INT64_MAX;
}

inline error other_abi() {
    return error(status::config, "libmde " + std::string(version()) + " has ABI " + std::to_string(abi_version()) +
                                     ", but this program was built for ABI " + std::to_string(MDE_HEADER_ABI_VERSION));
}

inline const char *to_c(const text &argument) noexcept { return argument.c_str(); }
template <class Other>
Other to_c(const Other &argument) noexcept { return argument; }

/** The name of a string that C would see cut short; NULL for any other argument. */
inline const char *cut_name(const text &argument) noexcept { return argument.is_cut ? argument.name : nullptr; }
template <class Other>
const char *cut_name(const Other &) noexcept { return nullptr; }

/** Calls a C function with these arguments and `out_json` behind them. */
template <class Function, class... Arguments>
result<document> call(Function *function, const Arguments &...arguments) {
    if (!abi_fits()) {
        return other_abi();
    }
    const char *cut = nullptr;
    ((cut = cut != nullptr ? cut : cut_name(arguments)), ...);
    if (cut != nullptr) {
        return error(status::invalid_argument, std::string(cut) + " has a NUL (U+0000) inside");
    }
    frame thrown;
    char *json = nullptr;
    const auto code = static_cast<status>(function(to_c(arguments)..., &json));
    document answer = document::adopt(json);
    if (code == status::ok) {
        return answer;
    }
    return error(code, std::move(answer), code == status::token ? thrown.from_token : thrown.from_progress);
}

/** The end of functions that have a document on failure alone. */
inline result<void> done(const result<document> &answer) {
    return answer ? result<void>(std::monostate()) : answer.error();
}

/** The end of functions that have no document. */
inline result<void> done(std::int32_t code, const char *otherwise) {
    return code == MDE_OK ? result<void>(std::monostate()) : error(static_cast<status>(code), otherwise);
}

struct free_cancel {
    void operator()(mde_cancel *handle) noexcept {
        // First, because it may be about to trigger the handle.
        trigger.reset();
        mde_cancel_free(handle);
    }
    std::shared_ptr<void> trigger;
};

struct free_options {
    void operator()(mde_options *handle) const noexcept { mde_options_free(handle); }
};

struct free_client {
    void operator()(mde_client *handle) const noexcept {
        mde_client_shutdown(handle, UINT64_MAX);
        mde_client_free(handle);
    }
};

}  // namespace detail

/* ---- stopping --------------------------------------------------------------------------------- */

/**
 * Stops the calls that it is given to, from any thread or after a time. Made on the way from what a caller has:
 *
 *     client.get_action(id, std::chrono::seconds(30));   // status::deadline when it takes longer
 *     client.get_action(id, stop_token);                 // C++20: status::cancelled once stop is requested
 *     client.get_action(id, cancel);                     // cancel.trigger() from another thread
 *
 * It has to outlive the calls that use it, as one made on the way does. Movable, but not while a call uses it.
 */
class cancellation {
public:
    /** Stops when it is triggered. */
    cancellation() : cancellation(made(0)) {}

    /**
     * Stops when it is triggered, or once this time has passed from now on. Zero or less, or not a number, is a
     * millisecond; the longest times never pass.
     */
    template <class Rep, class Period>
    cancellation(std::chrono::duration<Rep, Period> timeout) : cancellation(made(detail::to_ms(timeout, 1))) {}

#if defined(__cpp_lib_jthread)
    /** Stops when it is triggered, or stop is requested. */
    cancellation(const std::stop_token &stop) : cancellation() { follow(stop); }

    /** The same, or once this time has passed. */
    template <class Rep, class Period>
    cancellation(const std::stop_token &stop, std::chrono::duration<Rep, Period> timeout) : cancellation(timeout) {
        follow(stop);
    }
#endif

    /** Stops nothing. What calls take when they are given none. */
    static cancellation never() noexcept { return cancellation(nullptr); }

    /** Ends every call that uses it, now and later. From any thread, any number of times; not in a signal handler. */
    void trigger() const noexcept {
        if (handle_) {
            mde_cancel_trigger(handle_.get());
        }
    }

    /** For the functions of mde.h; NULL if it stops nothing. */
    const mde_cancel *handle() const noexcept { return handle_.get(); }

private:
    explicit cancellation(mde_cancel *handle) noexcept : handle_(handle) {}

    /** Time 0 is none. */
    static mde_cancel *made(std::int64_t timeout_ms) noexcept {
        return detail::abi_fits() ? mde_cancel_new(static_cast<std::uint64_t>(timeout_ms)) : nullptr;
    }

#if defined(__cpp_lib_jthread)
    void follow(const std::stop_token &stop) {
        if (handle_) {
            auto trigger = [handle = handle_.get()]() noexcept { mde_cancel_trigger(handle); };
            handle_.get_deleter().trigger = std::make_shared<std::stop_callback<decltype(trigger)>>(stop, trigger);
        }
    }
#endif

    std::unique_ptr<mde_cancel, detail::free_cancel> handle_;
};

/* ---- options and clients ---------------------------------------------------------------------- */

/** Settings for clients, by name; docs/options.md lists them. Used by one thread at a time. */
class options {
public:
    options() : handle_(detail::abi_fits() ? mde_options_new() : nullptr) {}

    /** Sets one option. The value is checked at once; status::config if it is not accepted, and then nothing changes. */
    result<void> set(const string_arg &option, const string_arg &value) {
        return detail::done(detail::call(mde_options_set, handle(), text("name", option), text("value", value)));
    }

    /** The same for options that are numbers. */
    template <class Integer, std::enable_if_t<std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>, int> = 0>
    result<void> set(const string_arg &option, Integer value) { return set(option, std::to_string(value)); }

    /** The same for the options whose names end in _ms; a time that is out of the option's range is refused. */
    template <class Rep, class Period>
    result<void> set(const string_arg &option, std::chrono::duration<Rep, Period> value) {
        return set(option, detail::to_ms(value, INT64_MIN));
    }

    /** Sets many options from a JSON object, all of them or none. */
    result<void> set_json(const string_arg &json) {
        return detail::done(detail::call(mde_options_set_json, handle(), text("json", json)));
    }

    /** Lets the host get the access tokens. The function is kept as long as these options and clients made of them. */
    result<void> set_token_provider(token_fn provider) {
        if (!detail::abi_fits()) {
            return detail::other_abi();
        }
        if (!provider) {
            return error(status::null, "provider is empty");
        }
        auto kept = std::make_unique<token_fn>(std::move(provider));
        const mde_status code = mde_options_set_token_provider(handle_.get(), detail::on_token, kept.get(),
                                                               detail::free_callback<token_fn>);
        if (code == MDE_OK) {
            kept.release();
        }
        return detail::done(code, "options were moved from");
    }

    /** For the functions of mde.h. */
    mde_options *handle() const noexcept { return handle_.get(); }

private:
    friend class client;
    using text = detail::text;

    std::unique_ptr<mde_options, detail::free_options> handle_;
};

/**
 * One identity against one service. Its operations may be called from many threads at once and block the thread that
 * calls; what each gives is in mde.h, at the C function named mde_ and the same.
 *
 * The destructor shuts the client down first and waits for calls that other threads are inside of, so that none is left
 * without its client; none may begin any more. It is not to run in a callback of one of its calls.
 */
class client {
public:
    /** Makes a client from a copy of the options; opens no connection. */
    static result<client> make(const options &from) {
        mde_client *handle = nullptr;
        const result<document> answer = detail::call(mde_client_new, from.handle(), &handle);
        return answer ? result<client>(client(handle)) : answer.error();
    }

#if MDE_HPP_EXCEPTIONS
    /** The same; throws mde::error. */
    explicit client(const options &from) : client(make(from).value()) {}
#endif

    /**
     * Refuses new calls, ends running ones with status::closed, and waits for them, at most this time; not at all
     * with zero or less. status::deadline: some still run. Not to be called in a callback of one of its calls.
     */
    template <class Rep, class Period>
    result<void> shutdown(std::chrono::duration<Rep, Period> timeout) {
        const auto ms = static_cast<std::uint64_t>(detail::to_ms(timeout, 0));
        return detail::done(mde_client_shutdown(handle_.get(), ms), "calls still run, or no client");
    }

    /** The main job: collect, wait, download and check. Called again, it carries on. {"package":…,"action":…,"adopted":…} */
    result<document> fetch_package(const string_arg &machine_id, const string_arg &comment, const string_arg &path,
                                   const progress_fn &progress = nullptr,
                                   const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_fetch_package, handle(), text("machine_id", machine_id), text("comment", comment),
                            text("path", path), detail::function_of(progress), detail::data_of(progress),
                            cancel.handle());
    }

    /** {"machines":[…],"checks":[…],"more":…} */
    result<document> find_machines(const string_arg &query, const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_find_machines, handle(), text("query", query), cancel.handle());
    }

    /** {"action":…,"adopted":…}, as soon as the service has agreed */
    result<document> collect_package(const string_arg &machine_id, const string_arg &comment,
                                     const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_collect_package, handle(), text("machine_id", machine_id), text("comment", comment),
                            cancel.handle());
    }

    /** {"action":…}, once it has succeeded; its other ends are errors */
    result<document> wait_action(const string_arg &action_id, const progress_fn &progress = nullptr,
                                 const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_wait_action, handle(), text("action_id", action_id), detail::function_of(progress),
                            detail::data_of(progress), cancel.handle());
    }

    /** {"action":…}, as it is now */
    result<document> get_action(const string_arg &action_id, const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_get_action, handle(), text("action_id", action_id), cancel.handle());
    }

    /** {"actions":[…]}, newest first; an empty filter is for all */
    result<document> list_actions(const string_arg &odata_filter = {},
                                  const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_list_actions, handle(), text("odata_filter", odata_filter), cancel.handle());
    }

    /** {"action":…,"cancelled":…}, once it has ended */
    result<document> cancel_action(const string_arg &action_id, const string_arg &comment,
                                   const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_cancel_action, handle(), text("action_id", action_id), text("comment", comment),
                            cancel.handle());
    }

    /** {"uri":…}: whoever has it can fetch the package, for about a minute */
    result<document> get_package_uri(const string_arg &action_id,
                                     const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_get_package_uri, handle(), text("action_id", action_id), cancel.handle());
    }

    /** {"package":…}, whole and checked, under its name */
    result<document> download_package(const string_arg &action_id, const string_arg &path,
                                      const progress_fn &progress = nullptr,
                                      const cancellation &cancel = cancellation::never()) const {
        return detail::call(mde_download_package, handle(), text("action_id", action_id), text("path", path),
                            detail::function_of(progress), detail::data_of(progress), cancel.handle());
    }

    /** {"quotas":[…],"log":…}; sends nothing */
    result<document> get_quota() const { return detail::call(mde_get_quota, handle()); }

    /** For the functions of mde.h; NULL once the client was moved from. */
    const mde_client *handle() const noexcept { return handle_.get(); }

private:
    using text = detail::text;

    explicit client(mde_client *handle) noexcept : handle_(handle) {}

    std::unique_ptr<mde_client, detail::free_client> handle_;
};

/* ---- without a client ------------------------------------------------------------------------- */

/** Checks a package on disk and lists what is in it: {"package":{…,"files":[…]}}. Sends and writes nothing. */
inline result<document> inspect_package(const string_arg &path, const progress_fn &progress = nullptr,
                                        const cancellation &cancel = cancellation::never()) {
    return detail::call(mde_inspect_package, detail::text("path", path), detail::function_of(progress),
                        detail::data_of(progress), cancel.handle());
}

/**
 * Sends log lines up to a level to a function, for the whole process; log_level::off or an empty function ends that.
 * The function is kept, with what it has captured by value, until another one is set and its last line is through.
 */
inline result<void> set_log(log_level level, log_fn callback) {
    if (!detail::abi_fits()) {
        return detail::other_abi();
    }
    if (!callback) {
        return detail::done(mde_log_set(nullptr, nullptr, nullptr, MDE_LOG_OFF), "logging cannot be switched off");
    }
    auto kept = std::make_unique<log_fn>(std::move(callback));
    const mde_status code = mde_log_set(detail::on_log, kept.get(), detail::free_callback<log_fn>,
                                        static_cast<std::int32_t>(level));
    if (code == MDE_OK) {
        kept.release();
    }
    return detail::done(code, "level is not a log level");
}

}  // inline namespace
}  // namespace mde

#undef MDE_HPP_STANDARD
#undef MDE_HPP_EXCEPTIONS
#undef MDE_HPP_VARIANT

#endif  // MDE_HPP
