//! Text from outside, made fit to show: bounded, on one line, without anything that grants access.

/// What stands where a secret stood.
const MASK: &str = "***";

/// Makes text of the service, a proxy or the system fit for messages and logs.
///
/// Control characters become spaces, URL queries and logins are masked, and so is anything that looks
/// like a token: a JWT, or a long run of base64 or hexadecimal characters that is not a known id form.
pub(crate) fn clean(text: &str, max_bytes: usize) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(&mut out, word);
        if out.len() >= max_bytes {
            break;
        }
    }
    if out.len() > max_bytes {
        let mut end = max_bytes;
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
        out.push('…');
    }
    out
}

fn push_word(out: &mut String, word: &str) {
    if let Some((scheme, rest)) = word.split_once("://") {
        let rest = match rest.split_once('@') {
            Some((login, host)) if !login.contains('/') => {
                out.push_str(scheme);
                out.push_str("://");
                out.push_str(MASK);
                out.push('@');
                host
            }
            _ => {
                out.push_str(scheme);
                out.push_str("://");
                rest
            }
        };
        match rest.split_once(['?', '#']) {
            Some((visible, _)) => {
                out.push_str(visible);
                out.push('?');
                out.push_str(MASK);
            }
            None => out.push_str(rest),
        }
        return;
    }
    let mut run = String::new();
    for c in word.chars() {
        if c.is_ascii_alphanumeric() || "-_.+/=%~".contains(c) {
            run.push(c);
        } else {
            push_run(out, &run);
            run.clear();
            out.push(c);
        }
    }
    push_run(out, &run);
}

/// Ids stay readable: GUIDs have 36 characters, device ids 40 hexadecimal digits.
fn push_run(out: &mut String, run: &str) {
    let is_jwt = run.starts_with("eyJ");
    let is_device_id = run.len() == 40 && run.bytes().all(|b| b.is_ascii_hexdigit());
    let is_dotted_name = run.split(['.', '/', '-', '_']).all(|part| part.len() <= 32);
    let has_digit_and_letter =
        run.bytes().any(|b| b.is_ascii_digit()) && run.bytes().any(|b| b.is_ascii_alphabetic());
    if is_jwt || (run.len() > 32 && has_digit_and_letter && !is_device_id && !is_dotted_name) {
        out.push_str(MASK);
    } else {
        out.push_str(run);
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn ordinary_messages_stay_as_they_are() {
        for text in [
            "Machine 49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9 was not found",
            "The key value (5382f7ea-7557-4ab7-9782-d50480024a4e) from request is not valid.",
            "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All",
            "API calls quota exceeded! Maximum allowed 30 per 00:01:00",
            "see https://docs.example/reference",
        ] {
            assert_eq!(clean(text, 1_000), text);
        }
    }

    #[test]
    fn what_grants_access_is_masked() {
        assert_eq!(clean("bad eyJhbGciOiJub25lIn0.e30.x token", 99), "bad *** token");
        assert_eq!(
            clean("at https://b.example/p.zip?sig=abc&se=1 now", 99),
            "at https://b.example/p.zip?*** now"
        );
        assert_eq!(clean("via http://user:pass@proxy:3128/", 99), "via http://***@proxy:3128/");
        assert_eq!(clean("secret=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4MTIz.", 99), "***");
        assert_eq!(clean("secret 'abcDEF123abcDEF123abcDEF123abcDEF123~x'", 99), "secret '***'");
    }

    #[test]
    fn lines_and_length_are_bounded() {
        assert_eq!(clean("a\r\nb\tc\u{0}d", 99), "a b c d");
        assert_eq!(clean("", 9), "");
        assert_eq!(clean(&"é".repeat(100), 9), "éééé…");
    }
}
