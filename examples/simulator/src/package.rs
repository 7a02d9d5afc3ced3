//! The investigation package: a zip with the folders that a Windows device collects.
//!
//! <https://learn.microsoft.com/defender-endpoint/respond-machine-alerts>

use std::io::{self, Cursor, Write};

use hyper::body::Bytes;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime};

const NO_KEY: &str =
    "ERROR: The system was unable to find the specified registry key or value.\r\n";

/// The package that was asked for last, so that a download in many ranges is built once.
#[derive(Debug, Default)]
pub struct Packages(Option<(String, u64, Bytes)>);

impl Packages {
    /// The package of an action: the same bytes each time.
    pub fn of(&mut self, action: &str, machine: &str, name: &str, extra: u64) -> io::Result<Bytes> {
        if let Some((a, e, bytes)) = &self.0 {
            if a == action && *e == extra {
                return Ok(bytes.clone());
            }
        }
        let bytes = build(action, machine, name, extra)?;
        self.0 = Some((action.to_owned(), extra, bytes.clone()));
        Ok(bytes)
    }
}

fn build(action: &str, machine: &str, name: &str, extra: u64) -> io::Result<Bytes> {
    let packed = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text) in files(action, machine, name) {
        zip.start_file(path, packed)?;
        zip.write_all(text.as_bytes())?;
    }
    if extra > 0 {
        let stored = packed.compression_method(CompressionMethod::Stored);
        zip.start_file("Security event log/ArchivedSecurity.evtx", stored)?;
        let seed = action.bytes().fold(0_u64, |s, b| s.wrapping_mul(31).wrapping_add(b.into()));
        let mut random = fastrand::Rng::with_seed(seed);
        let mut block = [0_u8; 8192];
        let mut left = extra;
        while left > 0 {
            random.fill(&mut block);
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            zip.write_all(block.get(..size).unwrap_or_default())?;
            left -= size as u64;
        }
    }
    Ok(zip.finish()?.into_inner().into())
}

fn files(action: &str, machine: &str, name: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut add = |path: &str, text: String| files.push((path.to_owned(), text));
    let table = |head: &str, row: &dyn Fn(u32) -> String, rows: u32| {
        let mut text = format!("{head}\r\n");
        for n in 0..rows {
            text.push_str(&row(n));
            text.push_str("\r\n");
        }
        text
    };
    for key in ["HKLM_Run", "HKLM_RunOnce", "HKCU_Run", "HKLM_Winlogon_Shell"] {
        let text = if key == "HKLM_Run" {
            "SecurityHealth    REG_EXPAND_SZ    %windir%\\system32\\SecurityHealthSystray.exe\r\n"
        } else {
            NO_KEY
        };
        add(&format!("Autoruns/{key}.txt"), text.to_owned());
    }
    let programs = |n: u32| format!("Contoso Tool {n},1.{n}.0,Contoso,2026010{}", n % 9 + 1);
    add(
        "Installed programs/InstalledPrograms.csv",
        table("DisplayName,DisplayVersion,Publisher,InstallDate", &programs, 24),
    );
    let connection = |n: u32| {
        format!("  TCP    10.0.0.5:{}    203.0.113.{}:443    ESTABLISHED", 49_700 + n, n + 1)
    };
    add(
        "Network connections/ActiveNetConnections.txt",
        table("Active Connections", &connection, 40),
    );
    let arp = |n: u32| format!("  10.0.0.{}    00-0c-29-00-00-{:02x}    dynamic", n + 1, n + 1);
    add("Network connections/Arp.txt", table("Interface: 10.0.0.5 --- 0x4", &arp, 12));
    let dns = |n: u32| format!("    Record Name . . . . . : host{n}.contoso.example");
    add("Network connections/DnsCache.txt", table("Windows IP Configuration", &dns, 30));
    add("Network connections/IpConfig.txt", format!("   Host Name . . . . . : {name}\r\n"));
    add("Network connections/FirewallExecutionLog.txt", "Ok.\r\n".to_owned());
    add("Network connections/pfirewall.log", "#Version: 1.5\r\n".to_owned());
    add("Prefetch files/CMD.EXE-0BD30981.pf", format!("MAM\u{4} {action}"));
    add("Prefetch files/PrefetchFilesList.txt", "CMD.EXE-0BD30981.pf\r\n".to_owned());
    let process = |n: u32| format!("process{n}.exe,{},{}", 400 + n * 4, n % 7);
    add("Processes/Processes.csv", table("Name,ProcessId,SessionId", &process, 120));
    let task = |n: u32| format!("{name},\\Contoso\\Task {n},Ready");
    add("Scheduled tasks/ScheduledTasks.csv", table("HostName,TaskName,Status", &task, 60));
    add("Security event log/Security.evtx", format!("ElfFile\u{0} {action} {machine}"));
    let service = |n: u32| format!("service{n},Contoso Service {n},Running");
    add("Services/Services.csv", table("Name,DisplayName,State", &service, 90));
    let sessions = "Windows Server Message Block (SMB) sessions";
    add(&format!("{sessions}/SMBInboundSessions.txt"), "There are no entries.\r\n".to_owned());
    add(&format!("{sessions}/SMBOutboundSession.txt"), "There are no entries.\r\n".to_owned());
    add(
        "System Information/SystemInformation.txt",
        format!("Host Name:    {name}\r\nDevice ID:    {machine}\r\n"),
    );
    add("Temp Directories/Temp_alice.txt", " Directory of C:\\Users\\alice\r\n".to_owned());
    add("Users and Groups/Groups.txt", "Administrators\r\nUsers\r\n".to_owned());
    add("Users and Groups/Users.txt", "Administrator\r\nalice\r\n".to_owned());
    add("WdSupportLogs/MpCmdRunLog.txt", "MpCmdRun: End Time\r\n".to_owned());
    add("WdSupportLogs/MPSupportFiles.cab", format!("MSCF {action}"));
    add("CollectionSummaryReport.xls", format!("Collection\tResult\r\n{action}\tSuccess\r\n"));
    files
}
