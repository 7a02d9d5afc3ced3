//! What packages of each system are known to hold, and so which system a package is from and what it lacks.
//!
//! Source: "Take response actions on a device", "Investigation package contents", of 2025-12-31.
//! <https://learn.microsoft.com/defender-endpoint/respond-machine-alerts>
//!
//! For Windows the page names folders and files. For macOS and Linux it names subjects only, so their names are
//! guessed at more freely. What depends on the device's settings (`FirewallExecutionLog.txt`, `pfirewall.log`) is not
//! expected.

use super::report::Entry;

/// The operating system of the device that a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// Windows, clients and servers.
    Windows,
    /// macOS.
    MacOs,
    /// Linux.
    Linux,
}

impl DeviceKind {
    /// The name in documents: `windows`, `macos` or `linux`.
    pub const fn name(self) -> &'static str {
        match self {
            DeviceKind::Windows => "windows",
            DeviceKind::MacOs => "macos",
            DeviceKind::Linux => "linux",
        }
    }
}

/// One part a line: a folder, or, indented, a file in the folder above it. Other names for it follow behind bars. A plus:
/// packages of the other systems do not have it. (As text, which needs less room in the library than structures.)
const WINDOWS: &str = "\
+Autoruns
+Installed programs
Network connections
 Network connections/ActiveNetConnections.txt
 Network connections/Arp.txt
 Network connections/DnsCache.txt
 Network connections/IpConfig.txt
+Prefetch files|Prefetch
 Prefetch files/PrefetchFilesList.txt
Processes
+Scheduled tasks
+Security event log
Services
+Windows Server Message Block (SMB) sessions|SMB sessions
 Windows Server Message Block (SMB) sessions/SMBInboundSessions
 Windows Server Message Block (SMB) sessions/SMBOutboundSession
+System Information
 System Information/SystemInformation.txt
+Temp Directories
Users and Groups
+WdSupportLogs
 WdSupportLogs/MpCmdRunLog.txt
 WdSupportLogs/MPSupportFiles.cab
+CollectionSummaryReport.xls";

const MAC_OS: &str = "\
+Applications|Installed applications
Disk volume|Disk volumes|Disk|Volumes
File|Files|Open files
+History|Shell history
+Kernel modules|Kernel|Loaded modules
Network connections|Network
Processes|Process|Running processes
Services and scheduled tasks|Services|System
+System security information|System security
Users and groups|Users";

const LINUX: &str = "\
Disk volume|Disk volumes|Disk|Volumes
File|Files|Open files
Network connections|Network
Processes|Process|Running processes
Services and scheduled tasks|Services|System
Users and groups|Users";

/// Folders of every file that are looked at, counted from the top: packages may lie in a folder of their own.
const DEPTH: usize = 4;
/// How many parts have to be there for a system to be recognised.
const ENOUGH: usize = 3;

/// The system that a package comes from, if it shows, and which of its parts are not there.
pub(super) fn recognise(entries: &[Entry]) -> (Option<DeviceKind>, Vec<&'static str>) {
    let [windows, mac, linux] = [WINDOWS, MAC_OS, LINUX].map(|parts| compare(parts, entries));
    let (kind, found) = if windows.telling >= ENOUGH && windows.telling > mac.telling {
        (DeviceKind::Windows, windows)
    } else if mac.telling > 0 && mac.there >= ENOUGH {
        (DeviceKind::MacOs, mac)
    } else if windows.telling == 0 && linux.there >= ENOUGH {
        (DeviceKind::Linux, linux)
    } else {
        return (None, Vec::new());
    };
    (Some(kind), found.missing)
}

#[derive(Default)]
struct Found {
    /// Folders that are there, and how many of them are one system's only.
    there: usize,
    telling: usize,
    missing: Vec<&'static str>,
}

fn compare(parts: &'static str, entries: &[Entry]) -> Found {
    let mut found = Found::default();
    let mut folder = false;
    for line in parts.lines() {
        let (name, names) = match line.strip_prefix(' ') {
            // A file is not missed where its whole folder is.
            Some(_) if !folder => continue,
            Some(file) => (file, file.rsplit('/').next().unwrap_or_default()),
            None => {
                let names = line.trim_start_matches('+');
                (names.split('|').next().unwrap_or_default(), names)
            }
        };
        let there = is_there(names, entries);
        if !there {
            found.missing.push(name);
        }
        if !line.starts_with(' ') {
            folder = there;
            found.there += usize::from(there);
            found.telling += usize::from(there && line.starts_with('+'));
        }
    }
    found
}

/// Whether a folder or file has one of the names, without regard to case, spaces, punctuation and extension.
fn is_there(names: &str, entries: &[Entry]) -> bool {
    entries.iter().any(|entry| {
        let mut parts = entry.name().split(['/', '\\']).take(DEPTH);
        parts.any(|part| names.split('|').any(|name| alike(part, name)))
    })
}

fn alike(one: &str, other: &str) -> bool {
    let stem =
        |name| -> &[u8] { str::rsplit_once(name, '.').map_or(name, |(stem, _)| stem).as_bytes() };
    let (mut one, mut other) = (stem(one), stem(other));
    loop {
        match (one, other) {
            ([a, rest @ ..], _) if !a.is_ascii_alphanumeric() => one = rest,
            (_, [b, rest @ ..]) if !b.is_ascii_alphanumeric() => other = rest,
            ([a, rest_a @ ..], [b, rest_b @ ..]) if a.eq_ignore_ascii_case(b) => {
                (one, other) = (rest_a, rest_b);
            }
            _ => return one.is_empty() && other.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> (Option<DeviceKind>, Vec<&'static str>) {
        let entries: Vec<Entry> = names.iter().map(|name| Entry::named(name)).collect();
        recognise(&entries)
    }

    #[test]
    fn case_spaces_and_a_common_folder_do_not_matter() {
        for prefix in ["", "WDATP_Investigation_Package/", "a\\b\\"] {
            let names = ["AUTORUNS/x.txt", "installedprograms/a.csv", "scheduled_tasks/t.csv"];
            let names = names.map(|name| format!("{prefix}{name}"));
            let (kind, missing) = of(&names.each_ref().map(String::as_str));
            assert_eq!(kind, Some(DeviceKind::Windows), "{prefix}");
            assert!(!missing.contains(&"Autoruns") && missing.contains(&"Prefetch files"));
        }
    }

    #[test]
    fn files_of_a_folder_are_missed_only_where_the_folder_is() {
        let names = ["Autoruns/a", "Temp Directories/b", "Prefetch files/x.pf"];
        let (_, missing) = of(&names);
        assert!(missing.contains(&"Prefetch files/PrefetchFilesList.txt"));
        assert!(missing.contains(&"WdSupportLogs"));
        assert!(!missing.contains(&"WdSupportLogs/MpCmdRunLog.txt"));
    }

    #[test]
    fn what_is_no_package_is_not_taken_for_one() {
        assert_eq!(of(&[]), (None, vec![]));
        assert_eq!(of(&["readme.txt", "src/main.c", "processes/a"]), (None, vec![]));
        let (kind, _) = of(&["Disk volume/a", "Network connections/b", "Processes/c"]);
        assert_eq!(kind, Some(DeviceKind::Linux));
        let (kind, missing) = of(&["Disk volume/a", "Kernel modules/b", "Processes/c"]);
        assert_eq!(kind, Some(DeviceKind::MacOs));
        assert!(missing.contains(&"Applications"));
    }
}
