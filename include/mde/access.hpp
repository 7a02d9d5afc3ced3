/*
 * mde/access.hpp: what a client may do, and how its hosts are reached.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_ACCESS_HPP
#define MDE_ACCESS_HPP

#include "document.hpp"
#include "error.hpp"
#include "detail/read.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** A step of a check. */
struct access_step {
    /** "sign_in_host", "sign_in", "permissions", "api_host", "api" or "clock". */
    std::string step{};
    /** "ok", "failed" or "skipped". */
    std::string result{};
    /** The object that this was read from. */
    document json{};

    /** Why it has failed, and what to do. Nothing without a failure. */
    std::optional<mde::error> error() const {
        const auto code = json.get<std::int32_t>("/error/status");
        return code ? std::optional<mde::error>(mde::error(static_cast<status>(*code), json)) : std::nullopt;
    }
};

/** For whom a token is, as it says itself. */
struct access_identity {
    /** "application", "user" or "unknown". */
    std::string kind{};
    /** Its tenant. */
    std::optional<std::string> tenant{};
    /** Its application (client) id. */
    std::optional<std::string> application{};
    /** The object id of the user, or of the application in the tenant. */
    std::optional<std::string> object{};
    /** The user's sign-in name. */
    std::optional<std::string> user{};
    /** The roles of an application, or the scopes of a user's token. */
    std::vector<std::string> permissions{};
    /** When the token expires, in UTC: "2026-01-24T23:17:02Z". */
    std::optional<std::string> expires_at{};
    /** The object that this was read from. */
    document json{};
};

/** A function, and whether the permissions allow it. */
struct access_function {
    /** Its name in C. */
    std::string function{};
    /** Whether it is allowed. */
    bool allowed = false;
    /** The permissions to grant, all of them. */
    std::vector<std::string> lacks{};
    /** The object that this was read from. */
    document json{};
};

/** Why a host is reached through a proxy or without one. */
struct access_proxy {
    /** Host and port of the proxy; nothing without one. */
    std::optional<std::string> address{};
    /** "none", "option", "variable", "system", "no_proxy" or "loopback". */
    std::string because{};
    /** The option or variable that says so. */
    std::optional<std::string> set_by{};
    /** The object that this was read from. */
    document json{};
};

/** An address that was tried. */
struct access_address {
    /** Address and port. */
    std::string address{};
    /** Whether it was used. */
    bool used = false;
    /** Why it was not. */
    std::optional<std::string> problem{};
    /** The object that this was read from. */
    document json{};
};

/** How long each phase took that came to its end. */
struct access_times {
    std::optional<std::chrono::milliseconds> lookup{};
    std::optional<std::chrono::milliseconds> connect{};
    std::optional<std::chrono::milliseconds> tunnel{};
    std::optional<std::chrono::milliseconds> tls{};
    std::optional<std::chrono::milliseconds> first_byte{};
    /** The object that this was read from. */
    document json{};
};

/** A host, and how far the way to it was open. */
struct access_host {
    /** Its name. */
    std::string host{};
    /** Its port. */
    std::uint64_t port = 0;
    /** The proxy on the way. */
    access_proxy proxy{};
    /** The addresses that were tried, of the proxy if there is one. */
    std::vector<access_address> addresses{};
    /** "TLS 1.2" or "TLS 1.3". */
    std::optional<std::string> tls{};
    /** The issuer of the certificate that the server presented, trusted or not. */
    std::optional<std::string> issuer{};
    /** The status of its reply. */
    std::optional<std::uint64_t> http_status{};
    /** How long each phase took. */
    access_times times{};
    /** How far this host's clock is ahead of the other's; negative if it is behind. */
    std::optional<std::chrono::seconds> clock_ahead{};
    /** The object that this was read from. */
    document json{};
};

/** The result of client::check_access(). */
struct checked_access {
    /** No step has failed. */
    bool ok = false;
    /** All steps in their order. */
    std::vector<access_step> steps{};
    /** For whom the token is; nothing without one. */
    std::optional<access_identity> identity{};
    /** What the permissions allow; empty while they are not known. */
    std::vector<access_function> functions{};
    /** The sign-in host; nothing if the client needs none. */
    std::optional<access_host> sign_in_host{};
    /** The API host. */
    std::optional<access_host> api_host{};
    /** The object that this was read from. */
    document json{};
};

namespace detail {

inline void take(const json_member &from, access_step &to) { from.into("step", to.step).into("result", to.result); }

inline void take(const json_member &from, access_identity &to) {
    from.into("kind", to.kind)
        .into("tenant", to.tenant)
        .into("application", to.application)
        .into("object", to.object)
        .into("user", to.user)
        .into("permissions", to.permissions)
        .into("expires_at", to.expires_at);
}

inline void take(const json_member &from, access_function &to) {
    from.into("function", to.function).into("allowed", to.allowed).into("lacks", to.lacks);
}

inline void take(const json_member &from, access_proxy &to) {
    from.into("address", to.address).into("because", to.because).into("set_by", to.set_by);
}

inline void take(const json_member &from, access_address &to) {
    from.into("address", to.address).into("used", to.used).into("problem", to.problem);
}

inline void take(const json_member &from, access_times &to) {
    from.into("lookup", to.lookup)
        .into("connect", to.connect)
        .into("tunnel", to.tunnel)
        .into("tls", to.tls)
        .into("first_byte", to.first_byte);
}

inline void take(const json_member &from, access_host &to) {
    from.into("host", to.host)
        .into("port", to.port)
        .into("proxy", to.proxy)
        .into("addresses", to.addresses)
        .into("tls", to.tls)
        .into("issuer", to.issuer)
        .into("http_status", to.http_status)
        .into("ms", to.times)
        .into("clock_ahead_s", to.clock_ahead);
}

inline void take(const json_member &from, checked_access &to) {
    from.into("ok", to.ok)
        .into("steps", to.steps)
        .into("identity", to.identity)
        .into("functions", to.functions)
        .into("sign_in_host", to.sign_in_host)
        .into("api_host", to.api_host);
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_ACCESS_HPP
