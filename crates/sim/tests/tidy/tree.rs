//! The files of the tree, and what of them counts.

use std::path::{Path, PathBuf};

/// One file of the tree.
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Made by tools, or somebody else's.
const SKIPPED: [&str; 6] = ["target", "node_modules", ".git", "vendor", "test-results", ".cargo"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Every file of text.
pub fn files() -> Vec<File> {
    let mut found = Vec::new();
    walk(&root(), &mut found);
    assert!(found.len() > 200, "the tree was not found");
    found
}

fn walk(dir: &Path, found: &mut Vec<File>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.push(File { path, text });
        }
    }
}

/// One file that must be there.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("`{path}`: {e}"))
}

impl File {
    /// Whether it is Rust that is shipped, not a test of it.
    pub fn is_source(&self) -> bool {
        self.path.ends_with(".rs") && self.path.contains("/src/") && !self.path.ends_with("/tests.rs") && !self.path.contains("/tests/")
    }

    /// Lines of code with their numbers: no comments, no blank lines, no module of tests at the end.
    pub fn code(&self) -> Vec<(usize, &str)> {
        let (mut code, mut in_comment) = (Vec::new(), false);
        let lines: Vec<&str> = self.text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let bare = line.trim();
            if *line == "#[cfg(test)]" && lines.get(n + 1).is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
                break;
            }
            if bare.starts_with("/*") {
                in_comment = true;
            }
            let comment = in_comment || bare.is_empty() || bare.starts_with("//") || bare.starts_with("--") && self.path.ends_with(".sql");
            if bare.contains("*/") {
                in_comment = false;
            }
            if !comment {
                code.push((n + 1, *line));
            }
        }
        code
    }
}

/// Whether `word` stands in `text` with nothing of a name before or after it.
pub fn has_word(text: &str, word: &str) -> bool {
    let named = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(named) && !text[at + word.len()..].chars().next().is_some_and(named)
    })
}

/// Fails with everything that was found.
pub fn none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}
