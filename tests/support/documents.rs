//! The blocks of code in the pages that people read.

use std::fs;
use std::path::Path;

/// What stands between two fences.
#[derive(Clone, Debug)]
pub struct Block {
    /// The page, from the checkout.
    pub document: String,
    /// The line of the opening fence, from 1.
    pub line: usize,
    /// What follows the opening fence; "" where nothing does.
    pub language: String,
    pub text: String,
}

/// Every page: those of the checkout, of `docs` and `benches`, and the READMEs below.
pub fn pages(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = [
        ("", 0),
        ("docs/", 0),
        ("benches/", 0),
        ("examples/", 3),
        ("bindings/", 3),
        ("simulator/", 0),
    ]
    .map(|(folder, depth)| (folder.to_owned(), depth))
    .into();
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}{}", entry.file_name().into_string().unwrap());
            if depth > 0 && entry.file_type().unwrap().is_dir() {
                folders.push((format!("{path}/"), depth - 1));
            } else if path.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The blocks of one page, in their order.
pub fn blocks(root: &Path, document: &str) -> Vec<Block> {
    let page = fs::read_to_string(root.join(document)).unwrap();
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                open = Some(Block {
                    document: document.to_owned(),
                    line: number + 1,
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: the last block is never closed");
    found
}
