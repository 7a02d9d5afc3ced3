//! Values of headers: times, ranges, and what a proxy offers.

use mde::fuzz_hooks::{self, Received};

use super::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => times(&input.text(), &input.text()),
        1 => range(&mut input),
        _ => challenge(&mut input),
    }
}

fn times(retry_after: &str, date: &str) {
    let received =
        Received { retry_after: Some(retry_after), date: Some(date), ..Received::default() };
    let wait = fuzz_hooks::retry_after(&received);
    assert!(wait.is_none_or(|wait| wait.as_secs() <= 86_400), "{wait:?}");
    if let Ok(seconds) = retry_after.trim().parse::<u32>()
        && !retry_after.contains('+')
    {
        assert_eq!(wait.map(|wait| wait.as_secs()), Some(u64::from(seconds).min(86_400)));
    }
    fuzz_hooks::clock_ahead(&received);
}

/// `have (2) | with length, its value (3) | Content-Range`
fn range(input: &mut Input<'_>) {
    let have = u64::from(input.word());
    let length = (input.byte() & 1 == 1).then(|| u64::from(input.word()));
    let text = input.text();
    let Some((from, end)) = fuzz_hooks::range(206, length, Some(&text), have) else { return };
    assert!(have > 0 && from == have && end > from, "{text}");
    assert!(length.is_none_or(|length| length == end - from), "{text}");
    let numbers: Vec<u64> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().expect("it fits"))
        .collect();
    match numbers[..] {
        [first, last] => assert!((first, last + 1) == (from, end) && text.contains('*'), "{text}"),
        [first, last, total] => assert!((first, last + 1) == (from, end) && total >= end, "{text}"),
        _ => panic!("{text} is no range"),
    }
}

/// `lines of a head | body`
fn challenge(input: &mut Input<'_>) {
    let head = format!("HTTP/1.1 407 No\r\n{}\r\n\r\n", input.text());
    let (offers, _) = fuzz_hooks::challenge(&head, input.rest());
    for (name, message) in offers {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        assert!((1..=20).contains(&name.len()) && name.bytes().all(is_name), "{name}");
        let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
        assert!(message.is_none_or(|text| !text.is_empty() && text.bytes().all(is_base64)));
    }
}
