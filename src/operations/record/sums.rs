//! Lines in the format of `sha256sum`.

/// `<sha256>  <file>`, with its line break. A name with a backslash or a line break is escaped, as `sha256sum` does it.
pub(super) fn line(sha256: &str, file: &str) -> String {
    let escaped = file.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    let mark = if escaped == file { "" } else { "\\" };
    format!("{mark}{sha256}  {escaped}\n")
}

/// The name that a package would have if it were accepted. It has one line, whatever became of it: a refused package
/// that is accepted later is renamed.
pub(super) fn base(line: &str) -> &str {
    let name = line.trim_end().split_once("  ").map_or(line, |(_, name)| name);
    [".unsafe", ".damaged"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// Adds a line, or replaces the one of the same package.
pub(super) fn set(sums: &mut String, line: &str) {
    let mut at = 0;
    for old in sums.split_inclusive('\n') {
        if base(old) == base(line) {
            let end = at + old.len();
            sums.replace_range(at..end, line);
            return;
        }
        at += old.len();
    }
    sums.push_str(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_sha256sum_does_it() {
        assert_eq!(line("ab", "a b.zip"), "ab  a b.zip\n");
        assert_eq!(line("ab", "C:\\a\n.zip"), "\\ab  C:\\\\a\\n.zip\n");
    }

    #[test]
    fn a_package_has_one_line() {
        let mut sums = String::new();
        for (sha256, file) in [("1", "a.zip.unsafe"), ("2", "b.zip"), ("3", "a.zip"), ("4", "a")] {
            set(&mut sums, &line(sha256, file));
        }
        assert_eq!(sums, "3  a.zip\n2  b.zip\n4  a\n");
        set(&mut sums, &line("5", "b.zip.damaged"));
        assert_eq!(sums, "3  a.zip\n5  b.zip.damaged\n4  a\n");
    }
}
