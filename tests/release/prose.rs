//! The pages are written in plain sentences: short ones on average, and few long ones.

use std::fs;
use std::path::Path;

use mde_tests::programs::ROOT;

/// The most words that a sentence may have on average.
const MEAN: f64 = 15.0;
/// A sentence with more words is long.
const LONG: usize = 30;
/// The most long sentences in a hundred.
const LONG_PERCENT: f64 = 3.0;
/// The most lines of the README.
const README_LINES: usize = 120;

/// One sentence of a page.
#[derive(Debug, PartialEq)]
struct Sentence {
    /// The line of its first word, from 1.
    line: usize,
    words: usize,
    text: String,
}

/// Whether a word ends a sentence, when the next one is `next`.
fn ends(word: &str, next: Option<&str>) -> bool {
    let bare = word.trim_end_matches([')', '"', '*', '_', ']']);
    let stops = bare.ends_with(['.', '!', '?']) && !["e.g.", "i.e.", "etc.", "vs."].contains(&bare);
    let begins = next.is_none_or(|next| {
        let first = next.trim_start_matches(['(', '"', '*', '_', '[']).chars().next();
        first.is_none_or(|c| c.is_uppercase() || c.is_numeric() || c == '`' || c == '<')
    });
    stops && begins
}

/// A line of text as its reader sees it: links are their text, and code is one word.
fn visible(line: &str) -> String {
    let mut shown = String::new();
    for (at, part) in line.split('`').enumerate() {
        match at % 2 {
            // Blanks inside of code part no words.
            1 => shown.extend(["`", &part.replace(char::is_whitespace, "_"), "`"]),
            _ => shown.push_str(part),
        }
    }
    while let Some((before, after)) = shown.split_once("](") {
        let rest = after.split_once(')').map_or("", |(_, rest)| rest);
        shown = format!("{before}{}{rest}", if before.contains('[') { "" } else { " " });
    }
    shown.replace(['[', ']'], "")
}

/// The text of a list item without its mark.
fn item(line: &str) -> Option<&str> {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).or_else(|| {
        let is_number = digits.len() < line.len();
        is_number.then(|| digits.strip_prefix(". ")).flatten()
    })
}

/// The sentences of a page, without headings, tables, comments and blocks of code. An item of a list, and a
/// paragraph, end a sentence.
fn sentences(page: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut in_code = false;
    let mut in_comment = false;
    // One line more than there is, which ends the last paragraph.
    for (number, line) in page.lines().chain([""]).enumerate() {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        in_code ^= is_fence;
        in_comment |= line.starts_with("<!--");
        let is_table_or_title = line.starts_with(['|', '#']) || line.starts_with("![");
        let is_text = !(in_code || is_fence || in_comment || is_table_or_title || line.is_empty());
        in_comment &= !line.contains("-->");
        let item = item(line).filter(|_| is_text);
        if !is_text || item.is_some() {
            close(&mut open, &mut found);
        }
        if is_text {
            let shown = visible(item.unwrap_or(line).trim_start_matches("> "));
            open.extend(shown.split_whitespace().map(|word| (number + 1, word.to_owned())));
        }
    }
    found
}

/// Takes a paragraph apart.
fn close(open: &mut Vec<(usize, String)>, found: &mut Vec<Sentence>) {
    let words = std::mem::take(open);
    let mut begun: Vec<&(usize, String)> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        begun.push(word);
        let next = words.get(at + 1).map(|(_, next)| next.as_str());
        if next.is_some() && !ends(&word.1, next) {
            continue;
        }
        let is_word = |word: &&&(usize, String)| word.1.contains(char::is_alphanumeric);
        let count = begun.iter().filter(is_word).count();
        let text: Vec<&str> = begun.iter().map(|(_, word)| word.as_str()).collect();
        if count > 0 {
            found.push(Sentence { line: begun[0].0, words: count, text: text.join(" ") });
        }
        begun.clear();
    }
}

/// The mean of a text, and how many of a hundred sentences are long.
fn measure(sentences: &[(String, Sentence)]) -> (f64, f64) {
    let count = sentences.len() as f64;
    let words: usize = sentences.iter().map(|(_, sentence)| sentence.words).sum();
    let long = sentences.iter().filter(|(_, sentence)| sentence.words > LONG).count();
    (words as f64 / count, 100.0 * long as f64 / count)
}

/// Fails with the longest sentences where a text is not plain.
#[track_caller]
fn is_plain(what: &str, mut sentences: Vec<(String, Sentence)>) {
    let (mean, long) = measure(&sentences);
    println!("{what}: {} sentences, {mean:.1} words, {long:.1} % long", sentences.len());
    sentences.sort_by_key(|(_, sentence)| std::cmp::Reverse(sentence.words));
    let shown = sentences.iter().take(20).map(|(page, Sentence { line, words, text })| {
        format!("{page}:{line}: {words} words: {}", text.chars().take(90).collect::<String>())
    });
    assert!(
        mean <= MEAN && long <= LONG_PERCENT,
        "{what}: {mean:.1} words in a sentence (at most {MEAN}), {long:.1} % of them over {LONG} words \
         (at most {LONG_PERCENT}); the longest are\n{}",
        shown.collect::<Vec<_>>().join("\n")
    );
}

fn read(page: &str) -> Vec<(String, Sentence)> {
    let text = fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
    sentences(&text).into_iter().map(|sentence| (page.to_owned(), sentence)).collect()
}

#[test]
fn the_readme_is_short_and_plain() {
    let lines = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines, at most {README_LINES}");
    is_plain("README.md", read("README.md"));
}

#[test]
fn the_pages_are_written_in_plain_sentences() {
    let pages = mde_tests::documents::pages(Path::new(ROOT));
    let pages = pages.iter().filter(|page| *page == "README.md" || page.starts_with("docs/"));
    let all: Vec<_> = pages.flat_map(|page| read(page)).collect();
    assert!(all.len() > 300, "{} sentences", all.len());
    is_plain("README.md and docs", all);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(page: &str) -> Vec<usize> {
        sentences(page).iter().map(|sentence| sentence.words).collect()
    }

    #[test]
    fn sentences_end_where_readers_see_it() {
        assert_eq!(words("One two. Three four five.\n"), [2, 3]);
        assert_eq!(words("One\ntwo. `three` four!\n\nFive\n"), [2, 2, 1]);
        assert_eq!(words("See 1.5 of it, e.g. This, or mde.h and so on.\n"), [11]);
        assert_eq!(words("It ends (really.) So does this?\n"), [3, 3]);
        assert_eq!(words("What is it: this; and that.\n"), [6]);
    }

    #[test]
    fn only_prose_counts() {
        assert_eq!(words("# A heading\n\n| a | table |\n|---|---|\n\nText.\n"), [1]);
        assert_eq!(
            words("Before:\n\n```c\nint main(void) { return 0; }\n```\n\nAfter it.\n"),
            [1, 2]
        );
        assert_eq!(words("<!-- of\nseveral lines. -->\n![a picture](a.svg)\nText.\n"), [1]);
        assert_eq!(words("A dash \u{2013} is no word.\n"), [5]);
    }

    #[test]
    fn items_stand_alone() {
        assert_eq!(words("- one two\n- three\n  four five\n1. six\n"), [2, 3, 1]);
    }

    #[test]
    fn code_and_links_count_as_they_are_read() {
        assert_eq!(words("Call `mde_fetch_package(a, b. C)` again.\n"), [3]);
        assert_eq!(words("Read [the page](docs/a.md#b) now. [This](c.md) too.\n"), [4, 2]);
    }

    #[test]
    fn a_sentence_knows_its_line() {
        let found = sentences("# Title\n\nOne.\nTwo\nthree.\n");
        let lines: Vec<_> = found.iter().map(|sentence| sentence.line).collect();
        assert_eq!(lines, [3, 4]);
        assert_eq!(found[1].text, "Two three.");
    }

    #[test]
    fn long_texts_are_refused() {
        let long = |page: &str, count: usize| {
            let text = "Word ".repeat(count) + "end.";
            sentences(&text).into_iter().map(|one| (page.to_owned(), one)).collect::<Vec<_>>()
        };
        is_plain("short", long("a.md", 14));
        let refused = std::panic::catch_unwind(|| is_plain("long", long("a.md", 15))).unwrap_err();
        let message = refused.downcast_ref::<String>().unwrap();
        assert!(message.contains("a.md:1: 16 words: Word"), "{message}");
        // One long sentence among 20 short ones is too many, although their mean is small.
        let mut mixed = (0..20).flat_map(|_| long("a.md", 3)).collect::<Vec<_>>();
        mixed.extend(long("b.md", 30));
        assert!(std::panic::catch_unwind(|| is_plain("mixed", mixed)).is_err());
    }
}
