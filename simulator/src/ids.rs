//! Identifiers in the forms that the service uses.

/// A new random GUID in lower case.
pub fn guid() -> String {
    guid_of(fastrand::u128(..))
}

/// The id of an application's service principal in a tenant: always the same for these two.
pub fn object_id(tenant: &str, client: &str) -> String {
    // FNV-1a, by its published constants. A newline is in no id.
    let text = format!("{tenant}\n{client}").to_ascii_lowercase();
    guid_of(text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    }))
}

fn guid_of(bits: u128) -> String {
    // Version 4, variant 1.
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let mut out = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

/// Whether text is a GUID in the one form that `Edm.Guid` has: 8-4-4-4-12.
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.chars().enumerate().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// A diagnostics span such as `|76dce355-471ae6d819782413.`, which takes the place of a GUID in the
/// `target` of some errors.
pub fn span() -> String {
    format!("|{:08x}-{:016x}.", fastrand::u32(..), fastrand::u64(..))
}

/// The id of the n-th machine: always the same, and without a pattern that a client could rely on.
pub fn machine_id(n: usize) -> String {
    let mut state = 0x6d61_6368_696e_6531_u64 ^ (n as u64);
    let mut word = || {
        // SplitMix64, by its published constants.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let (a, b, c) = (word(), word(), word() >> 32);
    format!("{a:016x}{b:016x}{c:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn guids_are_guids() {
        for _ in 0..1000 {
            let id = guid();
            assert!(is_guid(&id), "{id}");
            assert_eq!(&id[14..15], "4");
        }
        for wrong in
            ["", "5382f7ea75574ab79782d50480024a4e", "5382f7ea-7557-4ab7-9782-d50480024a4g"]
        {
            assert!(!is_guid(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_object_id_is_that_of_the_application_in_its_tenant() {
        let id = object_id("t", "c");
        assert!(is_guid(&id), "{id}");
        assert_eq!(id, object_id("T", "C"));
        assert!(id != object_id("t", "d") && id != object_id("u", "c"));
    }

    #[test]
    fn machine_ids_are_distinct_and_40_hex_digits() {
        let ids: HashSet<_> = (0..5000).map(machine_id).collect();
        assert_eq!(ids.len(), 5000);
        assert!(ids.iter().all(|id| id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(machine_id(7), machine_id(7));
    }
}
