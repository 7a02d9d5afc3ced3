//! The contents of a package, by the device's operating system.
//!
//! For Windows the page names folders and files. For macOS and Linux it names subjects only, after which
//! the folders and files here are named.
//!
//! <https://learn.microsoft.com/defender-endpoint/respond-machine-alerts>

const NO_KEY: &str =
    "ERROR: The system was unable to find the specified registry key or value.\r\n";

/// The device that a package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    system: System,
    id: String,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Windows,
    MacOs,
    Linux,
}

impl Device {
    /// `platform` as in the machine's `osPlatform`.
    pub fn new(platform: &str, id: &str, name: &str) -> Self {
        let system = match platform {
            "macOS" => System::MacOs,
            "Linux" => System::Linux,
            _ => System::Windows,
        };
        Device { system, id: id.to_owned(), name: name.to_owned() }
    }

    /// Paths and texts of the short files.
    pub fn files(&self, action: &str, edition: u32) -> Vec<(String, String)> {
        let mut files = match self.system {
            System::Windows => windows(action, &self.id, &self.name),
            System::MacOs => mac(action, &self.id, &self.name),
            System::Linux => linux(action, &self.id, &self.name),
        };
        if edition > 0 {
            let again = format!("Collected again, {edition}\r\n");
            files.push(("Edition.txt".to_owned(), again));
        }
        files
    }

    /// Path of the file that may be of any length.
    pub fn long_file(&self) -> &'static str {
        match self.system {
            System::Windows => "Security event log/ArchivedSecurity.evtx",
            System::MacOs => "System security information/unified_log.logarchive",
            System::Linux => "File/open_files_archive.log",
        }
    }
}

fn table(head: &str, row: &dyn Fn(u32) -> String, rows: u32) -> String {
    let mut text = format!("{head}\r\n");
    for n in 0..rows {
        text.push_str(&row(n));
        text.push_str("\r\n");
    }
    text
}

fn windows(action: &str, machine: &str, name: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut add = |path: &str, text: String| files.push((path.to_owned(), text));
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

/// The files that macOS and Linux share.
fn unix(name: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut add = |path: &str, text: String| files.push((path.to_owned(), text));
    let volume = |n: u32| format!("/dev/disk{n}  476Gi  {}Gi  /mnt/{n}", 100 + n);
    add("Disk volume/free_space.txt", table("Filesystem  Size  Available  Mounted on", &volume, 4));
    add("Disk volume/mounted_volumes.txt", table("Volumes", &volume, 4));
    add("Disk volume/partitions.txt", table("Partitions", &volume, 6));
    let open =
        |n: u32| format!("process{n}  {}  alice  {}r  REG  /var/log/{n}.log", 400 + n, n % 9);
    add("File/open_files.txt", table("COMMAND  PID  USER  FD  TYPE  NAME", &open, 200));
    let connection =
        |n: u32| format!("tcp  10.0.0.5:{}  203.0.113.{}:443  ESTABLISHED", 49_700 + n, n + 1);
    add("Network connections/active_connections.txt", table("Active connections", &connection, 40));
    let listening = |n: u32| format!("tcp  *:{}  LISTEN", 1024 + n);
    add("Network connections/listening_connections.txt", table("Listening", &listening, 12));
    let arp = |n: u32| format!("? (10.0.0.{}) at 00:0c:29:00:00:{:02x} on en0", n + 1, n + 1);
    add("Network connections/arp_table.txt", table("ARP", &arp, 12));
    add("Network connections/firewall_rules.txt", "block drop all\n".to_owned());
    add("Network connections/proxy_settings.txt", "none\n".to_owned());
    let process = |n: u32| format!("{}  process{n}  alice", 400 + n * 4);
    add("Processes/processes.txt", table("PID  COMMAND  USER", &process, 120));
    let sign_in = |n: u32| format!("alice  ttys00{}  {name}", n % 9);
    add("Users and groups/sign_in_history.txt", table("Sign-in history", &sign_in, 20));
    add("Users and groups/sudoers.txt", "root ALL=(ALL) ALL\n".to_owned());
    files
}

fn mac(action: &str, machine: &str, name: &str) -> Vec<(String, String)> {
    let mut files = unix(name);
    let mut add = |path: &str, text: String| files.push((path.to_owned(), text));
    let application = |n: u32| format!("Contoso Tool {n}  1.{n}  /Applications/Contoso {n}.app");
    add("Applications/installed_applications.txt", table("Applications", &application, 24));
    let module = |n: u32| format!("{n}  com.contoso.driver{n} (1.{n})");
    add("Kernel modules/loaded_modules.txt", table("Index  Name", &module, 30));
    add("History/shell_history.txt", format!("ls\nsudo -l\n# {action}\n"));
    add("Network connections/interface_configuration.txt", "en0: inet 10.0.0.5\n".to_owned());
    add("Network connections/vpn_settings.txt", "none\n".to_owned());
    let services = "Services and scheduled tasks";
    add(&format!("{services}/certificates.txt"), "Contoso Root CA\n".to_owned());
    add(&format!("{services}/configuration_profiles.txt"), "com.contoso.mdm\n".to_owned());
    add(&format!("{services}/hardware_information.txt"), format!("{name} {machine}\n"));
    let security = "System security information";
    add(&format!("{security}/efi_integrity.txt"), "No changes detected\n".to_owned());
    add(&format!("{security}/firewall_status.txt"), "Firewall is enabled\n".to_owned());
    add(&format!("{security}/mrt.txt"), "MRT 1.93\n".to_owned());
    add(&format!("{security}/sip_status.txt"), "enabled\n".to_owned());
    files
}

fn linux(action: &str, machine: &str, name: &str) -> Vec<(String, String)> {
    let mut files = unix(name);
    let mut add = |path: &str, text: String| files.push((path.to_owned(), text));
    add("Network connections/ip_list.txt", "10.0.0.5\n".to_owned());
    let services = "Services and scheduled tasks";
    add(&format!("{services}/cpu_details.txt"), "Contoso CPU, 8 cores\n".to_owned());
    add(&format!("{services}/hardware_information.txt"), format!("{name} {machine}\n"));
    add(&format!("{services}/operating_system.txt"), format!("Linux 6.12 {action}\n"));
    files
}
