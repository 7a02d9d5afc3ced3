//! Names that Windows takes for devices in every folder, whatever the case and whatever follows a dot.
//!
//! Source: <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>

/// Whether a file of this name would be a device: `nul`, `AUX.zip`, `com1.contoso.example`.
pub(crate) fn is_device(name: &[u8]) -> bool {
    let stem = name.split(|byte| b".:".contains(byte)).next().unwrap_or_default();
    let stem = stem.trim_ascii_end().to_ascii_uppercase();
    match stem.strip_prefix(b"COM").or_else(|| stem.strip_prefix(b"LPT")) {
        // The superscripts ¹, ² and ³ count as digits.
        Some([b'1'..=b'9'] | [0xc2, 0xb9 | 0xb2 | 0xb3]) => true,
        _ => {
            let names: [&[u8]; 6] = [b"CON", b"PRN", b"AUX", b"NUL", b"CONIN$", b"CONOUT$"];
            names.contains(&&*stem)
        }
    }
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
            "LPT\u{b2}.x",
            "conin$",
            "CONOUT$.log",
            "nul:stream",
        ] {
            assert!(is_device(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "null",
            "nul_5382.zip",
            "a.nul",
            "com",
            "com0.x",
            "com10",
            "comx.zip",
            "auxiliary",
            ".con",
        ] {
            assert!(!is_device(name.as_bytes()), "{name}");
        }
    }
}
