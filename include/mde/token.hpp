/*
 * mde/token.hpp: access tokens from the host.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_TOKEN_HPP
#define MDE_TOKEN_HPP

#include "detail/frame.hpp"
#include "detail/wipe.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** An access token and how long it is valid from now. 0: unknown, so the function is called for each request. */
struct token {
    std::string value{};
    std::chrono::seconds expires_in{0};
};

/**
 * Gets an access token for a scope. If it returns nothing, the call fails with status::token. It is called on the thread
 * that made the call, by one thread at a time per client. It must not destroy or shut down the client.
 */
using token_fn = std::function<std::optional<token>(std::string_view scope)>;

namespace detail {

inline std::int32_t on_token(void *user_data, const char *scope, mde_token_sink *sink) noexcept {
    std::int32_t code = MDE_ERR_TOKEN;
    provide([&] {
        if (std::optional<token> got = (*static_cast<const token_fn *>(user_data))(scope)) {
            const auto seconds = got->expires_in.count();
            code = got->value.find('\0') != std::string::npos
                       ? MDE_ERR_INVALID_ARGUMENT
                       : mde_token_set(sink, got->value.c_str(), seconds > 0 ? static_cast<std::uint64_t>(seconds) : 0);
            wipe(got->value);
        }
    });
    return code;
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_TOKEN_HPP
