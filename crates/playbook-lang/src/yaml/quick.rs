//! The YAML that most playbooks are written in, read in one pass over its lines.
//!
//! An editor checks at every keystroke, and a full YAML parser takes longer than all checks and the proof together. This
//! reader knows block mappings and lists, and values that end on their line: plain, quoted, `{...}` and `[...]`. Whatever
//! else it meets, mistakes among it, it declines, and the full parser reads the document from its start and says what
//! is wrong. So it cannot refuse anything and it cannot accept more than YAML does: where it answers, its answer is the
//! full parser's, node by node and place by place, which a property test checks.

use super::{At, MAX_DEPTH, Node, Position, Shape};

/// The document, or `None` where it holds anything that is not known here.
pub(super) fn read(source: &str) -> Option<Node> {
    let bytes = source.as_bytes();
    // Another end of a line, or a tab: what they mean depends on where they stand.
    if bytes.contains(&b'\t')
        || bytes.contains(&b'\r')
        || source.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'])
    {
        return None;
    }
    let mut reader = Reader {
        source,
        lines: lines(source),
        next: 0,
        depth: 0,
    };
    let root = reader.block()?;
    (reader.next == reader.lines.len()).then_some(root)
}

/// Room for as many fields as most steps have.
const SOME: usize = 8;

/// A line with something on it. What a list's dash introduces is a line of its own, further in.
#[derive(Clone, Copy)]
struct Line {
    /// Counted from 1.
    number: usize,
    /// Where it begins in the source.
    begin: usize,
    /// Where its content begins.
    start: usize,
    /// Where it ends, its line feed left out.
    end: usize,
}

impl Line {
    const fn indent(&self) -> usize {
        self.start - self.begin
    }
}

fn lines(source: &str) -> Vec<Line> {
    let mut begin = 0;
    let mut found = Vec::with_capacity(source.len() / 24);
    for (index, text) in source.split('\n').enumerate() {
        let content = text.trim_start_matches(' ');
        let end = begin + text.len();
        if !content.is_empty() && !content.starts_with('#') {
            found.push(Line {
                number: index + 1,
                begin,
                start: end - content.len(),
                end,
            });
        }
        begin = end + 1;
    }
    found
}

struct Reader<'s> {
    source: &'s str,
    lines: Vec<Line>,
    next: usize,
    depth: usize,
}

impl<'s> Reader<'s> {
    fn line(&self) -> Option<Line> {
        self.lines.get(self.next).copied()
    }

    fn rest(&self, line: Line, from: usize) -> Option<&'s str> {
        self.source.get(from..line.end)
    }

    fn place(&self, line: Line, offset: usize) -> Option<Position> {
        let before = self.source.get(line.begin..offset)?;
        let characters = if before.is_ascii() {
            before.len()
        } else {
            before.chars().count()
        };
        Some(Position {
            line: line.number,
            column: characters + 1,
        })
    }

    /// The mapping or list that begins on the next line.
    fn block(&mut self) -> Option<Node> {
        let line = self.line()?;
        self.depth += 1;
        // The full parser says that it is too deep.
        if self.depth > MAX_DEPTH {
            return None;
        }
        let at = self.place(line, line.start)?;
        let shape = if after_dash(self.rest(line, line.start)?).is_some() {
            self.list(line.indent())?
        } else {
            self.mapping(line.indent())?
        };
        self.depth -= 1;
        Some(At::new(shape, at))
    }

    fn mapping(&mut self, indent: usize) -> Option<Shape> {
        let mut entries: Vec<(At<String>, Node)> = Vec::with_capacity(SOME);
        while let Some(line) = self.line()
            && line.indent() == indent
        {
            let key = key(self.rest(line, line.start)?)?;
            let node = self.value(line, line.start + key.len() + 1)?;
            entries.push((At::new(key.to_owned(), self.place(line, line.start)?), node));
        }
        distinct(&entries).then_some(Shape::Map(entries))
    }

    fn list(&mut self, indent: usize) -> Option<Shape> {
        let mut items = Vec::with_capacity(SOME);
        while let Some(line) = self.line()
            && line.indent() == indent
            && let Some(content) = after_dash(self.rest(line, line.start)?)
        {
            let start = line.end - content.len();
            if key(content).is_some() {
                // `- id: a`: a mapping that begins behind the dash.
                self.lines.get_mut(self.next)?.start = start;
                items.push(self.block()?);
            } else if content.is_empty() || content.starts_with('#') || after_dash(content).is_some() {
                return None;
            } else {
                items.push(self.value(line, line.start + 1)?);
            }
        }
        Some(Shape::List(items))
    }

    /// What stands behind a key's colon or a dash: a value on this line, or behind a key a block on the lines below.
    fn value(&mut self, line: Line, from: usize) -> Option<Node> {
        let rest = self.rest(line, from)?;
        let content = rest.trim_start_matches(' ');
        let outer = line.indent();
        let node = if content.is_empty() || content.starts_with('#') {
            self.next += 1;
            let below = self.line()?;
            let list = after_dash(self.rest(below, below.start)?).is_some();
            // A list may stand right under its key.
            if below.indent() < outer || (below.indent() == outer && !list) {
                return None;
            }
            let mut block = self.block()?;
            // The full parser sees no beginning of such a list before its first item.
            if below.indent() == outer
                && let Shape::List(items) = &block.value
                && let Some(first) = items.first()
            {
                block.at = first.at;
            }
            block
        } else {
            self.next += 1;
            self.inline(line, line.end - content.len())?
        };
        // What is further in would go on with the value, or is a mistake.
        let below = self.line();
        below.is_none_or(|below| below.indent() <= outer).then_some(node)
    }

    /// A value that ends on its line.
    fn inline(&self, line: Line, start: usize) -> Option<Node> {
        let mut cursor = Inline {
            reader: self,
            line,
            offset: start,
            depth: self.depth,
        };
        let node = cursor.value(false)?;
        let rest = self.rest(line, cursor.offset)?;
        let behind = rest.trim_start_matches(' ');
        let comment = behind.starts_with('#') && behind.len() < rest.len();
        (behind.is_empty() || comment).then_some(node)
    }
}

/// Reads within one line.
struct Inline<'r, 's> {
    reader: &'r Reader<'s>,
    line: Line,
    offset: usize,
    depth: usize,
}

impl<'s> Inline<'_, 's> {
    fn rest(&self) -> &'s str {
        self.reader.rest(self.line, self.offset).unwrap_or_default()
    }

    fn value(&mut self, in_flow: bool) -> Option<Node> {
        let at = self.reader.place(self.line, self.offset)?;
        let shape = match self.rest().as_bytes().first()? {
            b'"' => self.double_quoted()?,
            b'\'' => self.single_quoted()?,
            b'{' => self.flow_mapping()?,
            b'[' => self.flow_list()?,
            _ if in_flow => self.scalar(plain_in_flow(self.rest())?, true),
            _ => self.scalar(plain(self.rest())?, true),
        };
        Some(At::new(shape, at))
    }

    /// Go past `text`, which stands here as it is.
    fn scalar(&mut self, text: &str, plain: bool) -> Shape {
        self.offset += text.len();
        Shape::Scalar {
            text: text.to_owned(),
            plain,
        }
    }

    fn double_quoted(&mut self) -> Option<Shape> {
        let content = self.rest().get(1..)?;
        let mut text = String::new();
        let mut taken = 0;
        loop {
            let rest = content.get(taken..)?;
            let here = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
            text.push_str(rest.get(..here)?);
            taken += here + 1;
            if rest.as_bytes().get(here) == Some(&b'"') {
                break;
            }
            text.push(match content.as_bytes().get(taken)? {
                b'"' => '"',
                b'\\' => '\\',
                b'/' => '/',
                b'n' => '\n',
                b't' => '\t',
                _ => return None,
            });
            taken += 1;
        }
        self.offset += taken + 1;
        Some(Shape::Scalar { text, plain: false })
    }

    fn single_quoted(&mut self) -> Option<Shape> {
        let content = self.rest().get(1..)?;
        let end = content.find('\'')?;
        // `''` is a quote within.
        if content.get(end + 1..)?.starts_with('\'') {
            return None;
        }
        let text = content.get(..end)?.to_owned();
        self.offset += end + 2;
        Some(Shape::Scalar { text, plain: false })
    }

    fn flow_mapping(&mut self) -> Option<Shape> {
        let mut entries = Vec::new();
        self.flow(b'}', |inline| {
            let at = inline.reader.place(inline.line, inline.offset)?;
            let key = key(inline.rest())?;
            inline.offset += key.len() + 1;
            inline.spaces();
            let value = inline.value(true)?;
            entries.push((At::new(key.to_owned(), at), value));
            Some(())
        })?;
        distinct(&entries).then_some(Shape::Map(entries))
    }

    fn flow_list(&mut self) -> Option<Shape> {
        let mut items = Vec::new();
        self.flow(b']', |inline| {
            items.push(inline.value(true)?);
            Some(())
        })?;
        Some(Shape::List(items))
    }

    /// Entries with commas between them, up to `end`.
    fn flow(&mut self, end: u8, mut entry: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.offset += 1;
        self.spaces();
        if self.rest().as_bytes().first() == Some(&end) {
            self.offset += 1;
            self.depth -= 1;
            return Some(());
        }
        loop {
            entry(self)?;
            self.spaces();
            let sign = *self.rest().as_bytes().first()?;
            self.offset += 1;
            if sign == end {
                self.depth -= 1;
                return Some(());
            }
            if sign != b',' {
                return None;
            }
            self.spaces();
        }
    }

    fn spaces(&mut self) {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start_matches(' ').len();
    }
}

/// What follows a list's dash; nothing where it stands alone.
fn after_dash(content: &str) -> Option<&str> {
    let rest = content.strip_prefix('-')?;
    let item = rest.trim_start_matches(' ');
    (item.len() < rest.len() || rest.is_empty()).then_some(item)
}

/// YAML allows a key of 1024 characters on its line; no field is near that.
const LONGEST_KEY: usize = 256;

/// A key of letters, digits, `_`, `-` and `.`, up to its colon.
fn key(content: &str) -> Option<&str> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = content.bytes().position(|byte| !letter(byte))?;
    let (key, rest) = content.split_at_checked(length)?;
    let begins = key
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let ends = rest == ":" || rest.starts_with(": ");
    (begins && ends && length <= LONGEST_KEY).then_some(key)
}

/// A plain value up to the end of the line or a comment.
fn plain(rest: &str) -> Option<&str> {
    if !begins_plain(rest) {
        return None;
    }
    let mut end = rest.len();
    for (place, byte) in rest.bytes().enumerate() {
        let next = rest.as_bytes().get(place + 1);
        match byte {
            // A key within a value.
            b':' if next.is_none_or(|next| *next == b' ') => return None,
            b' ' if next == Some(&b'#') => {
                end = place;
                break;
            }
            _ => {}
        }
    }
    Some(rest.get(..end)?.trim_end_matches(' '))
}

/// A plain value up to what ends an entry; nothing but what no reading of YAML takes for a sign of its own.
fn plain_in_flow(rest: &str) -> Option<&str> {
    if !begins_plain(rest) {
        return None;
    }
    let harmless = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || byte >= 0x80
            || matches!(byte, b' ' | b'.' | b'_' | b'-' | b'/' | b'+' | b'@')
    };
    let end = rest.bytes().position(|byte| !harmless(byte))?;
    matches!(rest.as_bytes().get(end)?, b',' | b'}' | b']').then_some(())?;
    Some(rest.get(..end)?.trim_end_matches(' '))
}

fn begins_plain(rest: &str) -> bool {
    let mut bytes = rest.bytes();
    let first = bytes.next().unwrap_or(b' ');
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b'/');
    // A number below zero.
    word(first) || (first == b'-' && bytes.next().is_some_and(|second| second.is_ascii_digit()))
}

/// So many keys are compared one by one: quicker than sorting them.
const FEW: usize = 24;

fn distinct(entries: &[(At<String>, Node)]) -> bool {
    if entries.len() <= FEW {
        let mut rest = entries;
        while let Some(((key, _), others)) = rest.split_first() {
            if others.iter().any(|(other, _)| other.value == key.value) {
                return false;
            }
            rest = others;
        }
        return true;
    }
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.value.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| pair.first() != pair.last())
}

#[cfg(test)]
mod tests;
