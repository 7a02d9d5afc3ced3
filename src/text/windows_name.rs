//! Names that Windows takes for devices in every folder, whatever the case and whatever follows a dot.
//!
//! Source: <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>

/// Whether a file of this name would be a device: `nul`, `AUX.zip`, `com1.contoso.example`.
pub(crate) fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end_matches(' ');
    let is = |device: &&str| stem.eq_ignore_ascii_case(device);
    let is_port = || {
        let mut letters = stem.chars();
        let number = letters.next_back();
        number.is_some_and(|c| c.is_ascii_digit() || "\u{b9}\u{b2}\u{b3}".contains(c))
            && ["com", "lpt"].iter().any(|port| letters.as_str().eq_ignore_ascii_case(port))
    };
    ["con", "prn", "aux", "nul", "conin$", "conout$"].iter().any(is) || is_port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_the_name_before_the_first_dot() {
        for name in [
            "nul",
            "NUL.zip",
            "aux.contoso.example_5382f7ea.zip",
            "Con.",
            "prn .txt",
            "COM1",
            "lpt9.tar.gz",
            "com0.x",
            "LPT\u{b2}.x",
            "conin$",
            "CONOUT$.log",
            "nul:stream",
        ] {
            assert!(is_device(name), "{name}");
        }
        for name in
            ["", "null", "nul_5382.zip", "a.nul", "com", "com10", "comx.zip", "auxiliary", ".con"]
        {
            assert!(!is_device(name), "{name}");
        }
    }
}
