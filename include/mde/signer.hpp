/*
 * mde/signer.hpp: signatures from the host.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_SIGNER_HPP
#define MDE_SIGNER_HPP

#include "detail/frame.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** What a signer is asked to sign. Valid during that call of the signer only. */
class signing_request {
public:
    signing_request(std::string_view asked_for, const std::uint8_t *bytes, std::uint64_t count,
                    const mde_signature_sink *sink) noexcept
        : algorithm(asked_for), data(bytes), size(count), sink_(sink) {}

    /** PS256 (RSA-PSS with a salt of 32 bytes) or RS256 (PKCS#1 v1.5), both with SHA-256. */
    const std::string_view algorithm;

    /** The text to hash and sign. */
    const std::uint8_t *const data;
    const std::uint64_t size;

    /** The time that the call has left: zero once it is stopped. Nothing without a deadline. */
    std::optional<std::chrono::milliseconds> time_left() const noexcept {
        const std::uint64_t left = mde_signature_time_left_ms(sink_);
        return left < INT64_MAX ? std::optional<std::chrono::milliseconds>(static_cast<std::int64_t>(left)) : std::nullopt;
    }

private:
    const mde_signature_sink *sink_;
};

/**
 * Makes the bare signature of a request. If it returns nothing, the call fails with status::token. It is called on the
 * thread of the call, by one thread at a time per client. It must not destroy or shut down the client.
 */
using sign_fn = std::function<std::optional<std::vector<std::uint8_t>>(const signing_request &request)>;

namespace detail {

inline std::int32_t on_sign(void *user_data, const char *algorithm, const std::uint8_t *data, std::uint64_t size,
                            mde_signature_sink *sink) noexcept {
    std::int32_t code = MDE_ERR_TOKEN;
    provide([&] {
        const signing_request request(algorithm, data, size, sink);
        if (const auto made = (*static_cast<const sign_fn *>(user_data))(request)) {
            code = mde_signature_set(sink, made->data(), made->size());
        }
    });
    return code;
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_SIGNER_HPP
