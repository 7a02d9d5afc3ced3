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
    text.chars().enumerate().try_fold(0, |number: u128, (at, c)| match at {
        8 | 13 | 18 | 23 => (c == '-').then_some(number),
        _ => Some(number << 4 | u128::from(c.to_digit(16)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_compared_by_their_numbers() {
        let guid = "5382f7ea-7557-4ab7-9782-d50480024a4e";
        assert_eq!(number(guid), Some(0x5382_f7ea_7557_4ab7_9782_d504_8002_4a4e));
        assert_eq!(number(&guid.to_ascii_uppercase()), number(guid));
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
