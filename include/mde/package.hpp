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
    /** Length of the content when packed. */
    std::uint64_t compressed = 0;
    /** Checksum of the content (CRC-32 of ISO 3309), eight hexadecimal digits. */
    std::string crc32{};
    /** "2026-01-31T23:59:58", in the device's local time, without a zone; absent if the package does not give it. */
    std::optional<std::string> modified{};
    /** The object that this was read from. */
    document json{};
};

/** An entry that could do harm where it is unpacked. */
struct unsafe_entry {
    /** The path inside the package. */
    std::string name{};
    /** The problem, in English, to follow the name. */
    std::string reason{};
    /** The object that this was read from. */
    document json{};
};

/**
 * A package on disk. Every file in it was compared with its checksum, but for those whose content was not checked: the
 * reasons in unsafe_entries say so. The package of error::package() may be damaged, and then has no contents.
 */
struct package {
    /** The path of the file, in UTF-8. */
    std::string path{};
    /** Length of the file. */
    std::uint64_t bytes = 0;
    /** The SHA-256 of the file, in lower-case hexadecimal digits. */
    std::string sha256{};
    /** The action that collected it; absent from inspect_package(). */
    std::optional<std::string> action_id{};
    /** The device it is from; absent if the action does not name it. */
    std::optional<std::string> machine_id{};
    /** The DNS name of that device. */
    std::optional<std::string> computer_name{};
    /** Whether an earlier call had downloaded it. This call then read it again and found it unchanged. */
    bool existing = false;
    /** The number of files and folders in it. */
    std::uint64_t entries = 0;
    /** Length of all files when unpacked. */
    std::uint64_t bytes_uncompressed = 0;
    /** "windows", "macos" or "linux"; absent if it does not look like an investigation package. */
    std::optional<std::string> device{};
    /** Documented folders and files of such packages that this one lacks, with Microsoft's names. */
    std::vector<std::string> missing{};
    /** Bytes of the file that belong to no entry. */
    std::uint64_t bytes_unlisted = 0;
    /**
     * The number of names that Windows or macOS take for another one, since they differ only in upper and lower case, or in
     * dots and blanks at the end.
     */
    std::uint64_t same_but_for_case = 0;
    /** The number of entries that could do harm where they are unpacked. */
    std::uint64_t unsafe_count = 0;
    /** The first of these entries, at most 100. */
    std::vector<unsafe_entry> unsafe_entries{};
    /** One for each entry, from inspect_package(); empty otherwise. */
    std::vector<entry> files{};
    /** The object that this was read from. */
    document json{};
};

/** The result of client::fetch_package(). */
struct fetched {
    /** The package. */
    mde::package package{};
    /** The machine action that collected it. */
    machine_action action{};
    /** Whether the collection was found: it ran already, or an earlier call had started it. */
    bool adopted = false;
    /** The whole document. */
    document json{};
};

/** The result of client::get_package_uri(). */
struct package_uri {
    /** The link. It is a secret, which gives access to the package for about a minute. */
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
        .into("unsafe_count", to.unsafe_count)
        .into("unsafe_entries", to.unsafe_entries)
        .into("files", to.files);
}

inline void take(const json_member &from, unsafe_entry &to) {
    from.into("name", to.name).into("reason", to.reason);
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
