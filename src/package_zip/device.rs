//! The documented parts of packages of each system. They show which system a package is from, and which parts it lacks.
//!
//! Source: "Take response actions on a device", "Investigation package contents", of 2025-12-31.
//! <https://learn.microsoft.com/defender-endpoint/respond-machine-alerts>
//!
//! For Windows the page names folders and files. Packages of 2026 have other names for two of them: the folder `SMB
//! Session` with one `Summary.txt`, and `Forensics Collection Summary.csv` instead of `CollectionSummaryReport.xls`.
//! Sources: public analyses of packages of Windows 11 25H2 from August and October 2026, and of a collection of tools
//! that read them. For macOS and Linux the page names only subjects, so several names are accepted for each. Files that
//! depend on the device's settings (`FirewallExecutionLog.txt`, `pfirewall.log`) are not expected.

use std::collections::HashSet;

use super::member::Member;

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

/// One part a line: a folder, or, indented, a file in the folder above it. Bars separate alternative names. A plus
/// marks parts that only this system has. Text takes less space in the library than structures.
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
+Windows Server Message Block (SMB) sessions|SMB sessions|SMB session
 Windows Server Message Block (SMB) sessions/SMBInboundSessions|Summary.txt
 Windows Server Message Block (SMB) sessions/SMBOutboundSession|Summary.txt
+System Information
 System Information/SystemInformation.txt
+Temp Directories
Users and Groups
+WdSupportLogs
 WdSupportLogs/MpCmdRunLog.txt
 WdSupportLogs/MPSupportFiles.cab
+CollectionSummaryReport.xls|Forensics Collection Summary.csv";

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

/// How many parts of each path are compared: the package may be in a folder of its own.
const DEPTH: usize = 4;
/// How many parts must be present to recognise a system.
const ENOUGH: usize = 3;

/// The system that a package comes from, if it is recognised, and the parts that it lacks.
pub(super) fn recognise(members: &[Member]) -> (Option<DeviceKind>, Vec<&'static str>) {
    let present = present(members);
    let [windows, mac, linux] = [WINDOWS, MAC_OS, LINUX].map(|parts| compare(parts, &present));
    let (kind, found) = if windows.specific >= ENOUGH && windows.specific > mac.specific {
        (DeviceKind::Windows, windows)
    } else if mac.specific > 0 && mac.there >= ENOUGH {
        (DeviceKind::MacOs, mac)
    } else if windows.specific == 0 && linux.there >= ENOUGH {
        (DeviceKind::Linux, linux)
    } else {
        return (None, Vec::new());
    };
    (Some(kind), found.missing)
}

#[derive(Default)]
struct Found {
    /// How many folders are present, and how many of these only this system has.
    there: usize,
    specific: usize,
    missing: Vec<&'static str>,
}

fn compare(parts: &'static str, present: &HashSet<Vec<u8>>) -> Found {
    let mut found = Found::default();
    let mut folder = false;
    for line in parts.lines() {
        let (name, names) = match line.strip_prefix(' ') {
            // Without its folder, a file is not reported separately.
            Some(_) if !folder => continue,
            Some(file) => (file, file.rsplit('/').next().unwrap_or_default()),
            None => (line.trim_start_matches('+'), line.trim_start_matches('+')),
        };
        let name = name.split('|').next().unwrap_or_default();
        let there = names.split('|').any(|name| present.contains(&fold(name)));
        if !there {
            found.missing.push(name);
        }
        if !line.starts_with(' ') {
            folder = there;
            found.there += usize::from(there);
            found.specific += usize::from(there && line.starts_with('+'));
        }
    }
    found
}

/// The known names in a package, folded. The time is linear in the length of all its names.
fn present(members: &[Member]) -> HashSet<Vec<u8>> {
    let lines = [WINDOWS, MAC_OS, LINUX].into_iter().flat_map(str::lines);
    let names = lines.flat_map(|line| line.split(['|', '/', '+']));
    let known: HashSet<Vec<u8>> = names.map(fold).filter(|name| !name.is_empty()).collect();
    let longest = known.iter().map(Vec::len).max().unwrap_or(0);
    let mut present = HashSet::new();
    for member in members {
        for part in member.name().split(['/', '\\']).take(DEPTH) {
            let name = folded(part).take(longest + 1).collect();
            if known.contains(&name) {
                present.insert(name);
            }
        }
    }
    present
}

/// The name without case, spaces, punctuation and extension.
fn fold(name: &str) -> Vec<u8> {
    folded(name).collect()
}

fn folded(name: &str) -> impl Iterator<Item = u8> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> (Option<DeviceKind>, Vec<&'static str>) {
        let named = |name: &&str| Member { raw: name.as_bytes().into(), ..Member::default() };
        recognise(&names.iter().map(named).collect::<Vec<_>>())
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
    fn files_are_missing_only_in_a_folder_that_is_present() {
        let names = ["Autoruns/a", "Temp Directories/b", "Prefetch files/x.pf"];
        let (_, missing) = of(&names);
        assert!(missing.contains(&"Prefetch files/PrefetchFilesList.txt"));
        assert!(missing.contains(&"WdSupportLogs"));
        assert!(!missing.contains(&"WdSupportLogs/MpCmdRunLog.txt"));
    }

    /// The folders and files of a package of 2026.
    #[test]
    fn a_package_of_the_field_lacks_nothing() {
        let mut names = vec![
            "Autoruns/Autoruns.txt",
            "Installed Programs/InstalledPrograms.csv",
            "Network Connections/ActiveNetConnections.txt",
            "Network Connections/Arp.txt",
            "Network Connections/DnsCache.txt",
            "Network Connections/IpConfig.txt",
            "Network Connections/FirewallExecutionLog.txt",
            "Prefetch Files/CMD.EXE-0BD30981.pf",
            "Prefetch Files/PrefetchFilesList.txt",
            "Processes/Processes.csv",
            "Scheduled Tasks/ScheduledTasks.csv",
            "Security Event Log/Security.evtx",
            "Services/Services.csv",
            "SMB Session/Summary.txt",
            "System Information/SystemInformation.txt",
            "Temp Directories/administrator_TempDirFiles.txt",
            "Users and Groups/LocalGroups.txt",
            "Users and Groups/QueryUser.txt",
            "WdSupportLogs/MpCmdRunLog.txt",
            "WdSupportLogs/MPSupportFiles.cab",
            "Forensics Collection Summary.csv",
        ];
        assert_eq!(of(&names), (Some(DeviceKind::Windows), vec![]));
        names.retain(|name| !name.ends_with("Summary.txt"));
        let (_, missing) = of(&names);
        assert_eq!(missing, ["Windows Server Message Block (SMB) sessions"]);
        names.push("SMB Session/SMBInboundSessions.txt");
        let (_, missing) = of(&names);
        assert_eq!(missing, ["Windows Server Message Block (SMB) sessions/SMBOutboundSession"]);
        names.retain(|name| !name.ends_with("Summary.csv"));
        assert!(of(&names).1.contains(&"CollectionSummaryReport.xls"));
    }

    #[test]
    fn long_names_take_linear_time() {
        // The quickest of some runs, since others work on the machine too.
        let quickest = |length| {
            let name = "-".repeat(length);
            let names = vec![name.as_str(); 32];
            let run = || {
                let began = std::time::Instant::now();
                assert_eq!(of(&names), (None, vec![]));
                began.elapsed()
            };
            (0..5).map(|_| run()).min().unwrap()
        };
        // Ten times as long may cost ten times as much; a square would be a hundred. On a machine that is busy with others,
        // another attempt is closer to that.
        let is_linear = || quickest(65_000) < 40 * quickest(6_500);
        assert!((0..20).any(|_| is_linear()));
    }

    #[test]
    fn other_zips_are_not_recognised_as_packages() {
        assert_eq!(of(&[]), (None, vec![]));
        assert_eq!(of(&["readme.txt", "src/main.c", "processes/a"]), (None, vec![]));
        let (kind, _) = of(&["Disk volume/a", "Network connections/b", "Processes/c"]);
        assert_eq!(kind, Some(DeviceKind::Linux));
        let (kind, missing) = of(&["Disk volume/a", "Kernel modules/b", "Processes/c"]);
        assert_eq!(kind, Some(DeviceKind::MacOs));
        assert!(missing.contains(&"Applications"));
    }
}
