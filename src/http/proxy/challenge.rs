//! A proxy that asks for a login (407): which kinds it offers, and whether its connection can be used again.

use std::io::{self, Read};

/// The most of a body that is read to keep a connection. A new one costs less than more.
const MOST_READ: usize = 64 * 1024;
/// The longest line between the chunks of a body.
const LONGEST_LINE: usize = 1024;
/// The longest name of a kind of login.
const LONGEST_NAME: usize = 20;

/// What a 407 offers.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub offers: Vec<Offer>,
    /// Whether the next request can be sent on the same connection, once the body is read.
    pub is_open: bool,
    body: Body,
}

/// A kind of login, and what the proxy answers to the last message of it.
#[derive(Debug)]
pub(crate) struct Offer {
    pub name: String,
    pub message: Option<String>,
}

/// What is still to be read of a body.
#[derive(Debug, Default)]
struct Body {
    /// The bytes before the next line, or before the end.
    left: usize,
    is_chunked: bool,
    /// The lines after the last chunk are being read.
    is_last: bool,
    line: Vec<u8>,
    total: usize,
}

impl Challenge {
    pub(crate) fn read(head: &str) -> Challenge {
        let mut offers = Vec::new();
        values(head, "proxy-authenticate").for_each(|value| read_offers(value, &mut offers));
        let says = |word: &str| {
            let lines = values(head, "connection").chain(values(head, "proxy-connection"));
            let mut words = lines.flat_map(|value| value.split(','));
            words.any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        let is_chunked =
            values(head, "transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked"));
        let length = values(head, "content-length").next().and_then(|value| value.parse().ok());
        let is_kept = !says("close") && (head.starts_with("HTTP/1.1") || says("keep-alive"));
        Challenge {
            offers,
            is_open: is_kept && (is_chunked || length.is_some()),
            body: Body {
                left: length.filter(|_| !is_chunked).unwrap_or_default(),
                is_chunked,
                ..Body::default()
            },
        }
    }

    /// Reads the body to its end, if the connection is to be used again.
    pub(crate) fn read_body(&mut self, source: &mut impl Read) -> io::Result<()> {
        if self.is_open {
            self.is_open = self.body.read(source)?;
        }
        Ok(())
    }

    pub(crate) fn offer(&self, name: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.name.eq_ignore_ascii_case(name))
    }

    /// The kinds that are offered, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.offers.iter().map(|offer| offer.name.as_str()).collect();
        if names.is_empty() { "no kind of login".to_owned() } else { names.join(", ") }
    }
}

impl Body {
    /// Whether the end was reached. An error may mean that more has to arrive.
    fn read(&mut self, source: &mut impl Read) -> io::Result<bool> {
        loop {
            while self.left > 0 {
                let mut buffer = [0; 4096];
                let most = self.left.min(buffer.len());
                let amount = source.read(buffer.get_mut(..most).unwrap_or_default())?;
                self.left -= amount;
                self.total += amount;
                if amount == 0 || self.total > MOST_READ {
                    return Ok(false);
                }
            }
            if !self.is_chunked {
                return Ok(true);
            }
            let mut byte = [0];
            if source.read(&mut byte)? == 0 || self.line.len() >= LONGEST_LINE {
                return Ok(false);
            }
            self.line.extend_from_slice(&byte);
            if byte == *b"\n" {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                match (line.trim(), self.is_last) {
                    ("", true) => return Ok(true),
                    (_, true) => {
                        // A long row of lines is no end either.
                        self.total += LONGEST_LINE;
                        if self.total > MOST_READ {
                            return Ok(false);
                        }
                    }
                    (size, false) => {
                        let digits = size.split(';').next().unwrap_or_default().trim();
                        match usize::from_str_radix(digits, 16) {
                            Ok(0) => self.is_last = true,
                            // A line break follows the bytes.
                            Ok(size) if size <= MOST_READ => self.left = size + 2,
                            _ => return Ok(false),
                        }
                    }
                }
            }
        }
    }
}

/// The values of a header.
pub(in crate::http) fn values<'h>(
    head: &'h str,
    wanted: &'static str,
) -> impl Iterator<Item = &'h str> {
    head.lines().skip(1).filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// Reads `Negotiate YII=, NTLM, Basic realm="a, b"`.
fn read_offers(value: &str, offers: &mut Vec<Offer>) {
    let mut is_quoted = false;
    let parts = value.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    for part in parts {
        let (name, rest) = part.trim().split_once([' ', '\t']).unwrap_or((part.trim(), ""));
        let rest = rest.trim();
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        // The part may be a further parameter of the one before.
        if is_name && !rest.starts_with('=') {
            let is_message = !rest.is_empty()
                && rest
                    .trim_end_matches('=')
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
            let message = is_message.then(|| rest.to_owned());
            offers.push(Offer { name: name.to_owned(), message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &str) -> String {
        let head = format!("HTTP/1.1 407 No\r\n{lines}\r\n\r\n");
        let offers = Challenge::read(&head).offers.into_iter();
        let shown = offers.map(|offer| match offer.message {
            Some(message) => format!("{}({message})", offer.name),
            None => offer.name,
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn offers_are_read_from_one_line_or_many() {
        for (lines, expected) in [
            ("Proxy-Authenticate: Negotiate\r\nproxy-authenticate:NTLM", "Negotiate NTLM"),
            ("Proxy-Authenticate: Negotiate YII+/=, NTLM", "Negotiate(YII+/=) NTLM"),
            (
                "Proxy-Authenticate: Basic realm=\"a, NTLM\", Digest realm=x, nonce=y",
                "Basic Digest",
            ),
            ("Proxy-Authenticate: Digest realm = \"a\" , nonce = y, Negotiate", "Digest Negotiate"),
            ("Proxy-Authenticate: \u{1b}[2J, x_y, , Basic", "Basic"),
            ("WWW-Authenticate: Negotiate", ""),
        ] {
            assert_eq!(shown(lines), expected, "{lines}");
        }
    }

    /// Gives the bytes one by one, each after a refusal.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match (self.1, self.0.split_first()) {
                (true, _) => Err(io::ErrorKind::WouldBlock.into()),
                (false, None) => Ok(0),
                (false, Some((first, rest))) => {
                    buffer[0] = *first;
                    self.0 = rest;
                    Ok(1)
                }
            }
        }
    }

    /// Whether the connection can be used again, and what is left unread.
    fn after(head: &str, body: &str) -> (bool, usize) {
        let mut challenge = Challenge::read(&format!("{head}\r\n\r\n"));
        let mut source = Slow(body.as_bytes(), false);
        while challenge.read_body(&mut source).is_err() {}
        (challenge.is_open, source.0.len())
    }

    #[test]
    fn a_body_is_read_up_to_its_end() {
        let chunked = "HTTP/1.1 407 No\r\nTransfer-Encoding: chunked";
        for (head, body, expected) in [
            ("HTTP/1.1 407 No\r\nContent-Length: 5", "12345HTTP", (true, 4)),
            ("HTTP/1.1 407 No\r\nContent-Length: 0", "HTTP", (true, 4)),
            ("HTTP/1.1 407 No\r\nContent-Length: 5", "123", (false, 0)),
            ("HTTP/1.1 407 No\r\nContent-Length: 5\r\nConnection: x, Close", "12345", (false, 5)),
            ("HTTP/1.1 407 No\r\nContent-Length: 5\r\nProxy-Connection: close", "1", (false, 1)),
            ("HTTP/1.1 407 No", "12345", (false, 5)),
            ("HTTP/1.0 407 No\r\nContent-Length: 1", "12", (false, 2)),
            ("HTTP/1.0 407 No\r\nContent-Length: 1\r\nConnection: Keep-Alive", "12", (true, 1)),
            (chunked, "5\r\n12345\r\nA;x=y\r\n1234567890\r\n0\r\n\r\nHTTP", (true, 4)),
            (chunked, "0\r\nTrailer: x\r\n\r\nHTTP", (true, 4)),
            (chunked, "x\r\n", (false, 0)),
            (chunked, "ffffffffff\r\n1", (false, 1)),
            (chunked, "5\r\n123", (false, 0)),
        ] {
            assert_eq!(after(head, body), expected, "{head} {body}");
        }
        let long = "x".repeat(2 * MOST_READ);
        assert!(!after(&format!("HTTP/1.1 407 No\r\nContent-Length: {}", long.len()), &long).0);
        assert!(!after(chunked, &long).0);
        assert!(!after(chunked, &format!("0\r\n{}", "x: y\r\n".repeat(100))).0);
    }
}
