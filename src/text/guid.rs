//! GUIDs.

/// Whether this is a GUID in its usual form, without braces.
pub(crate) fn is_guid(text: &str) -> bool {
    number(text).is_some()
}

/// The number that a GUID writes, by which GUIDs are compared. `None`: it is none.
pub(crate) fn number(text: &str) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    let mut number = 0;
    for (at, byte) in text.bytes().enumerate() {
        let digit = match byte {
            b'-' if matches!(at, 8 | 13 | 18 | 23) => continue,
            _ if matches!(at, 8 | 13 | 18 | 23) => return None,
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(digit);
    }
    Some(number)
}

/// The GUID that writes this number, in lower case.
pub(crate) fn text(number: u128) -> String {
    let mut text = format!("{number:032x}");
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_compared_by_their_numbers() {
        let guid = "5382f7ea-7557-4ab7-9782-d50480024a4e";
        assert_eq!(number(guid), Some(0x5382_f7ea_7557_4ab7_9782_d504_8002_4a4e));
        assert_eq!(number(&guid.to_ascii_uppercase()), number(guid));
        for guid in [guid, "00000000-0000-0000-0000-000000000001"] {
            assert_eq!(number(guid).map(text).as_deref(), Some(guid));
        }
        for other in [
            "",
            "5382f7ea75574ab79782d50480024a4e",
            "{5382f7ea-7557-4ab7-9782-d50480024a4e}",
            "5382f7ea-7557-4ab7-9782-d50480024a4g",
            "5382f7ea-7557-4ab7-9782+d50480024a4e",
            "5382f7ea-7557-4ab7-9782-d50480024a4e ",
            "5382f7ea-7557-4ab7-9782-d50480024aé",
        ] {
            assert!(!is_guid(other), "{other}");
        }
    }
}
