/*
 * mde/options.hpp: settings for clients.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_OPTIONS_HPP
#define MDE_OPTIONS_HPP

#include "signer.hpp"
#include "token.hpp"
#include "detail/call.hpp"
#include "detail/time.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

struct free_options {
    void operator()(mde_options *handle) const noexcept { mde_options_free(handle); }
};

}  // namespace detail

/** Settings for clients, by name. docs/options.md lists them. Only one thread at a time may use it. */
class options {
public:
    options() : handle_(detail::abi_fits() ? mde_options_new() : nullptr) {}

    /** Sets one option. The value is checked at once. A refused value is status::config and changes nothing. */
    result<void> set(const string_arg &option, const string_arg &value) {
        return detail::done(detail::call(mde_options_set, handle(), text("name", option), text("value", value)));
    }

    /** Sets an option that is a number. */
    template <class Integer, std::enable_if_t<std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>, int> = 0>
    result<void> set(const string_arg &option, Integer value) { return set(option, std::to_string(value)); }

    /** Sets an option whose name ends in _ms. A time that is out of the option's range is refused. */
    template <class Rep, class Period>
    result<void> set(const string_arg &option, std::chrono::duration<Rep, Period> value) {
        return set(option, detail::to_ms(value, INT64_MIN));
    }

    /** Sets many options from a JSON object, all of them or none. */
    result<void> set_json(const string_arg &json) {
        return detail::done(detail::call(mde_options_set_json, handle(), text("json", json)));
    }

    /**
     * Lets the host get the access tokens. Replaces a function set before. A function is destroyed when neither these
     * options nor a client made from them use it.
     */
    result<void> set_token_provider(token_fn provider) {
        return give(mde_options_set_token_provider, detail::on_token, std::move(provider), "provider is empty");
    }

    /**
     * Lets the host sign with the key of the option client_certificate, which then has certificates alone. Replaces a
     * function set before. A function is destroyed when neither these options nor a client made from them use it.
     */
    result<void> set_signer(sign_fn signer) {
        return give(mde_options_set_signer, detail::on_sign, std::move(signer), "signer is empty");
    }

    /** The handle for the functions of mde.h. */
    mde_options *handle() const noexcept { return handle_.get(); }

private:
    using text = detail::text;

    /** Gives a function to the library, which keeps it. */
    template <class Set, class On, class Callback>
    result<void> give(Set *setter, On *on, Callback callback, const char *if_empty) {
        if (!detail::abi_fits()) {
            return detail::other_abi();
        }
        if (!callback) {
            return error(status::null, if_empty);
        }
        auto kept = std::make_unique<Callback>(std::move(callback));
        const mde_status code = setter(handle_.get(), on, kept.get(), detail::free_callback<Callback>);
        if (code == MDE_OK) {
            // The library owns it now.
            (void)kept.release();
        }
        return detail::done(code, "options were moved from");
    }

    std::unique_ptr<mde_options, detail::free_options> handle_;
};

}  // inline namespace
}  // namespace mde

#endif  // MDE_OPTIONS_HPP
