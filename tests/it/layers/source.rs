//! Rust source as the layer test needs it: paths with their lines, tests taken away.

/// What of a file concerns its place in the architecture.
#[derive(Debug)]
pub(super) struct Source {
    /// Every path of two segments or more, and every name that stands alone, `use` groups spelled out.
    pub(super) paths: Vec<Item>,
    /// Lines that are not of `#[cfg(test)]` items.
    pub(super) lines: usize,
    /// Modules that are declared for tests alone.
    pub(super) test_modules: Vec<String>,
}

/// A path and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

impl Item {
    /// The crate's top module that the path leads to, from a module at this depth; `None` if it leads elsewhere.
    pub(super) fn top_module(&self, depth: usize) -> Option<&str> {
        let segment = |at: usize| self.segments.get(at).map(String::as_str);
        match segment(0)? {
            "crate" | "modelswarm" => segment(1),
            "super" => {
                let up = self.segments.iter().take_while(|part| *part == "super").count();
                (up == depth).then(|| segment(up))?
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let (kept, tests, test_modules) = without_tests(&tokens);
        let test_lines: usize = tests.iter().map(|(first, last)| last - first + 1).sum();
        Self { paths: paths(&kept), lines: text.lines().count() - test_lines, test_modules }
    }
}

/// Identifiers, `::` and single signs; no comments, no literals.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line) = (0, 1);
    let mut tokens = Vec::new();
    while at < chars.len() {
        let start = at;
        let here = chars[at];
        let next = chars.get(at + 1).copied().unwrap_or_default();
        if here == '/' && next == '/' {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if here == '/' && next == '*' {
            at = after_comment(&chars, at);
        } else if here == '"' {
            at = after_string(&chars, at);
        } else if let Some(end) = after_raw_string(&chars, at) {
            at = end;
        } else if here == '\'' {
            at = after_quote(&chars, at);
        } else if is_word(here) {
            while at < chars.len() && is_word(chars[at]) {
                at += 1;
            }
            let text: String = chars[start..at].iter().collect();
            if !here.is_ascii_digit() {
                tokens.push(Token { text, line });
            }
        } else if here == ':' && next == ':' {
            at += 2;
            tokens.push(Token { text: "::".into(), line });
        } else {
            at += 1;
            if !here.is_whitespace() {
                tokens.push(Token { text: here.into(), line });
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|one| **one == '\n').count();
    }
    tokens
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

fn after_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn after_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"…"`, `r#"…"#`, `br"…"` and so on.
fn after_raw_string(chars: &[char], start: usize) -> Option<usize> {
    if start > 0 && is_word(chars[start - 1]) {
        return None;
    }
    let mut at = start;
    if matches!(chars[at], 'b' | 'c') {
        at += 1;
    }
    if chars.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = chars[at..].iter().take_while(|one| **one == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < chars.len() {
        let closes = chars[at] == '"'
            && chars[at + 1..].iter().take(hashes).filter(|one| **one == '#').count() == hashes;
        at += 1;
        if closes {
            return Some(at + hashes);
        }
    }
    Some(at)
}

/// A character literal, or the sign before a lifetime or label.
fn after_quote(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let mut end = at + 3;
        while end < chars.len() && chars[end] != '\'' {
            end += 1;
        }
        return end + 1;
    }
    if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 }
}

type Spans = Vec<(usize, usize)>;

/// Takes items under `#[cfg(test)]` away; also gives their lines, and the modules so declared.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Spans, Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut spans, mut modules) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let marked = tokens.len() - at >= MARK.len()
            && tokens[at..].iter().zip(MARK).all(|(t, m)| t.text == m);
        if !marked {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = end_of_item(tokens, at + MARK.len());
        let item = &tokens[at..end];
        if item.last().is_some_and(|last| last.text == ";") {
            let declared = item.windows(2).find(|pair| pair[0].text == "mod");
            modules.extend(declared.map(|pair| pair[1].text.clone()));
        }
        spans.push((tokens[at].line, tokens[end - 1].line));
        at = end;
    }
    (kept, spans, modules)
}

/// Past the item that begins here: its block's end or its `;`, outside all brackets.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        // A group of a `use` ends in `}` too, and its item one sign later.
        let ends = match tokens[at].text.as_str() {
            "}" if depth == 0 => tokens.get(at + 1).is_none_or(|next| next.text != ";"),
            ";" | "," => depth == 0,
            _ => false,
        };
        at += 1;
        if ends || depth < 0 {
            break;
        }
    }
    at
}

/// Every path, groups spelled out. A name alone is a path of one segment.
fn paths(tokens: &[Token]) -> Vec<Item> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_name(&tokens[at]) {
            at = path(tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

fn is_name(token: &Token) -> bool {
    token.text.starts_with(|one: char| one.is_alphabetic() || one == '_') || token.text == "*"
}

/// Reads the path that begins here, below `above`; gives where it ends.
fn path(tokens: &[Token], mut at: usize, above: &[String], found: &mut Vec<Item>) -> usize {
    let line = tokens[at].line;
    let mut segments = above.to_vec();
    loop {
        segments.push(tokens[at].text.clone());
        at += 1;
        let joins = tokens.get(at).is_some_and(|token| token.text == "::");
        match tokens.get(at + 1) {
            Some(next) if joins && next.text == "{" => {
                return group(tokens, at + 2, &segments, found);
            }
            Some(next) if joins && is_name(next) => at += 1,
            _ => break,
        }
    }
    found.push(Item { segments, line });
    at
}

fn group(tokens: &[Token], mut at: usize, above: &[String], found: &mut Vec<Item>) -> usize {
    while at < tokens.len() && tokens[at].text != "}" {
        if is_name(&tokens[at]) {
            at = path(tokens, at, above, found);
            // The new name is no path.
            if tokens.get(at).is_some_and(|token| token.text == "as") {
                at += 2;
            }
        } else {
            at += 1;
        }
    }
    at + 1
}
