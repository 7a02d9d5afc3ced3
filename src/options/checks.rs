//! Checks that options share. An error is the value's problem, to complete "option `x` …". It never repeats
//! the value, which may be a secret in the wrong place.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::sign_in::Token;
use crate::text::url::BaseUrl;

/// The longest time that can be set: a day.
const MAX_MILLIS: u64 = 86_400_000;

type Result<T> = std::result::Result<T, String>;

pub(super) fn not_empty(value: &str) -> Result<String> {
    match value.is_empty() {
        true => Err("is empty".to_owned()),
        false => Ok(value.to_owned()),
    }
}

pub(super) fn absolute(value: &str) -> Result<String> {
    match std::path::Path::new(value).is_absolute() && !value.contains('\0') {
        true => Ok(value.to_owned()),
        false => Err("is no absolute path".to_owned()),
    }
}

pub(super) fn secret(value: &str) -> Result<Zeroizing<String>> {
    match value.is_empty() {
        true => Err("is empty".to_owned()),
        false => password(value),
    }
}

/// A secret that may be empty.
pub(super) fn password(value: &str) -> Result<Zeroizing<String>> {
    if value.chars().any(char::is_control) {
        let problem =
            "has a line break or another control character, such as the last line break of a file";
        return Err(problem.to_owned());
    }
    Ok(Zeroizing::new(value.to_owned()))
}

/// A path, absolute or not.
pub(super) fn path(value: &str) -> Result<String> {
    match value.contains(char::is_control) {
        true => Err("has a line break or another control character".to_owned()),
        false => not_empty(value),
    }
}

/// A path, or the content of a file.
pub(super) fn path_or_text(value: &str) -> Result<Zeroizing<String>> {
    match value.contains('\0') {
        true => Err("has a U+0000".to_owned()),
        false => not_empty(value).map(Zeroizing::new),
    }
}

pub(super) fn token(value: &str) -> Result<Zeroizing<String>> {
    match Token::is_usable(value) {
        true => Ok(Zeroizing::new(value.to_owned())),
        false => {
            Err("is empty, too long, or has blanks, line breaks or other characters".to_owned())
        }
    }
}

pub(super) fn name(value: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    match value.len() {
        0 => Err("is empty".to_owned()),
        1..=255 if value.chars().all(fits) && !value.contains("..") => Ok(value.to_owned()),
        _ => Err("has characters that no id or domain name has".to_owned()),
    }
}

pub(super) fn visible(value: &str, max: usize) -> Result<String> {
    match (1..=max).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(value.to_owned()),
        false => Err("is empty, too long, or has other characters".to_owned()),
    }
}

pub(super) fn agent(value: &str) -> Result<String> {
    let fits = |b: u8| b.is_ascii_graphic() || b == b' ';
    match (1..=256).contains(&value.len()) && value.bytes().all(fits) && value.trim() == value {
        true => Ok(value.to_owned()),
        false => Err("is empty, too long, or has other characters".to_owned()),
    }
}

pub(super) fn url(value: &str) -> Result<BaseUrl> {
    BaseUrl::parse(value).map_err(str::to_owned)
}

pub(super) fn whole<T: std::str::FromStr + PartialOrd>(value: &str, min: T, max: T) -> Result<T> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse::<T>() {
        _ if !digits => Err("is not a whole number".to_owned()),
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err("is out of range".to_owned()),
    }
}

pub(super) fn millis(value: &str, min: u64) -> Result<Duration> {
    whole(value, min, MAX_MILLIS).map(Duration::from_millis)
}

/// A duration in milliseconds. Zero sets no limit.
pub(super) fn limit(value: &str) -> Result<Option<Duration>> {
    Ok(Some(millis(value, 0)?).filter(|limit| !limit.is_zero()))
}

pub(super) fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(name, _)| *name == value);
    found.map(|(_, choice)| *choice).ok_or_else(|| "has an unknown value".to_owned())
}
