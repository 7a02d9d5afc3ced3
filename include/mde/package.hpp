/*
 * mde/package.hpp: investigation packages.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_PACKAGE_HPP
#define MDE_PACKAGE_HPP

#include "action.hpp"
#include "document.hpp"
#include "detail/read.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** One entry of a package. */
struct entry {
    /** The path inside the package; that of a folder ends in a slash. */
    std::string name{};
    /** Length of the content. */
    std::uint64_t bytes = 0;
    /** Length of the content as it is packed. */
    std::uint64_t compressed = 0;
    /** Checksum of the content (CRC-32 of ISO 3309), eight hexadecimal digits. */
    std::string crc32{};
    /** "2026-01-31T23:59:58", by the device's own clock and time zone; absent where the package does not say. */
    std::optional<std::string> modified{};
    /** The object that this was read from. */
    document json{};
};

/** A package on disk. Every byte of every file in it was compared with its checksum. */
struct package {
    /** Where it lies, in UTF-8. */
    std::string path{};
    /** Length of the file. */
    std::uint64_t bytes = 0;
    /** The SHA-256 of the file, in lower-case hexadecimal digits. */
    std::string sha256{};
    /** The action that collected it; unknown to inspect_package(). */
    std::optional<std::string> action_id{};
    /** The device it is from, where the action names it. */
    std::optional<std::string> machine_id{};
    /** The DNS name of that device. */
    std::optional<std::string> computer_name{};
    /** An earlier call had downloaded it; this one read it again and found it unchanged. */
    bool existing = false;
    /** How many files and folders it lists. */
    std::uint64_t entries = 0;
    /** Length of all files when unpacked. */
    std::uint64_t bytes_uncompressed = 0;
    /** "windows", "macos" or "linux"; absent where it does not look like an investigation package. */
    std::optional<std::string> device{};
    /** What packages of such devices are documented to hold and this one lacks, by Microsoft's names. */
    std::vector<std::string> missing{};
    /** Bytes of the file that belong to nothing it lists. */
    std::uint64_t bytes_unlisted = 0;
    /** Names that differ from another in the case of their letters only. */
    std::uint64_t same_but_for_case = 0;
    /** One for each entry, from inspect_package(); empty otherwise. */
    std::vector<entry> files{};
    /** The object that this was read from. */
    document json{};
};

/** What client::fetch_package() gives. */
struct fetched {
    /** The package. */
    mde::package package{};
    /** The machine action that collected it. */
    machine_action action{};
    /** This call did not start the collection: it ran already, or an earlier call had started it. */
    bool adopted = false;
    /** The whole document. */
    document json{};
};

/** What client::get_package_uri() gives. */
struct package_uri {
    /** A secret for about a minute: whoever has it can fetch the package. */
    std::string uri{};
    /** The whole document. */
    document json{};
};

namespace detail {

inline void take(const json_member &from, package &to) {
    from.into("path", to.path)
        .into("bytes", to.bytes)
        .into("sha256", to.sha256)
        .into("action_id", to.action_id)
        .into("machine_id", to.machine_id)
        .into("computer_name", to.computer_name)
        .into("existing", to.existing)
        .into("entries", to.entries)
        .into("bytes_uncompressed", to.bytes_uncompressed)
        .into("device", to.device)
        .into("missing", to.missing)
        .into("bytes_unlisted", to.bytes_unlisted)
        .into("same_but_for_case", to.same_but_for_case)
        .into("files", to.files);
}

inline void take(const json_member &from, entry &to) {
    from.into("name", to.name)
        .into("bytes", to.bytes)
        .into("compressed", to.compressed)
        .into("crc32", to.crc32)
        .into("modified", to.modified);
}

inline void take(const json_member &from, fetched &to) {
    from.into("package", to.package).into("action", to.action).into("adopted", to.adopted);
}

inline void take(const json_member &from, package_uri &to) { from.into("uri", to.uri); }

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_PACKAGE_HPP
