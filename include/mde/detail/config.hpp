/*
 * mde/detail/config.hpp: features of the compiler.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DETAIL_CONFIG_HPP
#define MDE_DETAIL_CONFIG_HPP

#include "../../mde.h"

#if defined(_MSVC_LANG)
#define MDE_HPP_STANDARD _MSVC_LANG
#else
#define MDE_HPP_STANDARD __cplusplus
#endif
#if MDE_HPP_STANDARD < 201703L
#error "mde.hpp needs C++17 or later"
#endif

/* Code with and without exceptions uses different types. Otherwise the linker could replace a function that catches by
 * one that does not. */
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define MDE_HPP_EXCEPTIONS 1
#define MDE_HPP_VARIANT v0
#else
#define MDE_HPP_EXCEPTIONS 0
#define MDE_HPP_VARIANT v0_without_exceptions
#endif

#endif  // MDE_DETAIL_CONFIG_HPP
