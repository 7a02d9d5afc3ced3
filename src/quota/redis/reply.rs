//! Reads replies: a status, an error, a number, a text, or a flat list of numbers. No command here has another one.
//! Nested lists are refused, so nothing recurses on the stack of the host's thread.

use std::io;

use super::connection::NoReply;
use crate::http::failure::Failure;

/// The largest reply. A valid one has a few numbers.
const LARGEST: usize = 256 * 1024;

/// Reads one reply from a function like [`io::Read::read`].
pub(super) struct Replies<R> {
    read: R,
    bytes: Vec<u8>,
    /// Where the next line begins.
    at: usize,
}

impl<R: FnMut(&mut [u8]) -> io::Result<usize>> Replies<R> {
    pub(super) fn new(read: R) -> Replies<R> {
        Replies { read, bytes: Vec::new(), at: 0 }
    }

    /// The numbers of one reply. Nothing may follow it, since commands are sent one by one.
    pub(super) fn one(mut self) -> Result<Vec<i64>, NoReply> {
        let line = self.line()?;
        let numbers = match line.split_at_checked(1) {
            Some(("+", _)) => Vec::new(),
            Some(("-", text)) => return Err(NoReply::Refused(text.to_owned())),
            Some((":", number)) => vec![parsed(number)?],
            Some(("$", "-1")) => Vec::new(),
            Some(("$", length)) => match self.line()?.len() == parsed::<usize>(length)? {
                true => Vec::new(),
                false => return Err(not_of_the_protocol()),
            },
            Some(("*", count)) => {
                let items = (0..parsed::<u32>(count)?).map(|_| {
                    let line = self.line()?;
                    parsed(line.strip_prefix(':').ok_or_else(not_of_the_protocol)?)
                });
                items.collect::<Result<_, _>>()?
            }
            _ => return Err(not_of_the_protocol()),
        };
        match self.at == self.bytes.len() {
            true => Ok(numbers),
            false => Err(not_of_the_protocol()),
        }
    }

    fn line(&mut self) -> Result<String, NoReply> {
        let mut searched = self.at;
        loop {
            let rest = self.bytes.get(searched..).unwrap_or_default();
            if let Some(length) = memchr::memchr(b'\n', rest) {
                let end = searched + length;
                let line = self.bytes.get(self.at..end).unwrap_or_default();
                let text = line.strip_suffix(b"\r").ok_or_else(not_of_the_protocol)?;
                let text = String::from_utf8_lossy(text).into_owned();
                self.at = end + 1;
                return Ok(text);
            }
            searched = self.bytes.len();
            if searched > LARGEST {
                return Err(not_of_the_protocol());
            }
            let mut part = [0; 1024];
            let amount = (self.read)(&mut part)
                .map_err(|error| NoReply::Broken(Failure::from_io(error).to_string()))?;
            if amount == 0 {
                return Err(NoReply::Broken("the server closed the connection".to_owned()));
            }
            self.bytes.extend_from_slice(part.get(..amount).unwrap_or_default());
        }
    }
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, NoReply> {
    text.parse().map_err(|_| not_of_the_protocol())
}

fn not_of_the_protocol() -> NoReply {
    NoReply::Broken("the reply is not of the Redis protocol".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one reply that arrives in pieces of this size.
    fn read(text: &str, piece: usize) -> Result<Vec<i64>, String> {
        let mut rest = text.as_bytes();
        let read = |buffer: &mut [u8]| {
            let amount = rest.len().min(piece).min(buffer.len());
            buffer[..amount].copy_from_slice(&rest[..amount]);
            rest = &rest[amount..];
            Ok(amount)
        };
        Replies::new(read).one().map_err(|error| match error {
            NoReply::Broken(why) => why,
            NoReply::Refused(text) => format!("refused: {text}"),
        })
    }

    #[test]
    fn replies_are_read_in_every_division() {
        for piece in 1..=64 {
            assert_eq!(read("+OK\r\n", piece), Ok(vec![]));
            assert_eq!(read(":-7\r\n", piece), Ok(vec![-7]));
            assert_eq!(read("$-1\r\n", piece), Ok(vec![]));
            assert_eq!(read("$3\r\nabc\r\n", piece), Ok(vec![]));
            assert_eq!(read("*0\r\n", piece), Ok(vec![]));
            assert_eq!(
                read("*3\r\n:1\r\n:-1\r\n:9223372036854775807\r\n", piece),
                Ok(vec![1, -1, i64::MAX])
            );
            assert_eq!(
                read("-NOAUTH sign in\r\n", piece),
                Err("refused: NOAUTH sign in".to_owned())
            );
        }
    }

    #[test]
    fn other_bytes_are_no_reply() {
        let endless = "x".repeat(LARGEST + 2_000);
        for text in [
            "\r\n",
            "+OK\n",
            "HTTP/1.1 400 Bad Request\r\n",
            ":1.5\r\n",
            ":9223372036854775808\r\n",
            "$4\r\nabc\r\n",
            "$x\r\nabc\r\n",
            "*-1\r\n",
            "*1\r\n*1\r\n:1\r\n",
            "*1\r\n$1\r\n1\r\n",
            "%1\r\n:1\r\n:2\r\n",
            "+OK\r\n+OK\r\n",
            "\u{fc}\r\n",
            &endless,
        ] {
            let error = "the reply is not of the Redis protocol".to_owned();
            assert_eq!(read(text, 100), Err(error), "{}", &text[..text.len().min(40)]);
        }
        for text in ["", "+OK", "*2\r\n:1\r\n", "*4294967295\r\n:1\r\n", "$3\r\nab"] {
            assert_eq!(
                read(text, 100),
                Err("the server closed the connection".to_owned()),
                "{text}"
            );
        }
    }
}
