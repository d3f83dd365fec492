//! YAML with the place of every node.
//!
//! Built on the parser's events rather than on a ready-made tree, so that limits are kept while reading, duplicate keys
//! are seen, and a scalar keeps its text (`version: 1.20` stays `1.20`). See `docs/decisions/0001-yaml-with-positions.md`.

mod quick;

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use crate::findings::{Findings, code, quoted};

/// The largest document that is read.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deeper than any playbook needs; a deeper one is an attack or a mistake.
const MAX_DEPTH: usize = 32;

/// Where something stands, counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl From<Marker> for Position {
    fn from(marker: Marker) -> Self {
        Self {
            line: marker.line().max(1),
            column: marker.col().saturating_add(1),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: Position,
}

impl<T> At<T> {
    pub(crate) fn new(value: T, at: Position) -> Self {
        Self { value, at }
    }
}

/// One node of the document.
pub(crate) type Node = At<Shape>;

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Its text, and whether it was written without quotes.
    Scalar { text: String, plain: bool },
    /// In order.
    List(Vec<Node>),
    /// In order, each key once.
    Map(Vec<(At<String>, Node)>),
}

impl Shape {
    /// For messages.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Bytes as text, or where and why they are none.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, (Position, String)> {
    if bytes.len() > MAX_BYTES {
        return Err((Position::START, too_large(bytes.len())));
    }
    let mend = "save it as UTF-8";
    let other = match bytes {
        // Marked as such; or without a mark, where every other byte of a text such as `name:` is a NUL.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, _, ..] | [_, 0, _, 0, ..] => Some("UTF-16"),
        _ => None,
    };
    if let Some(other) = other {
        return Err((Position::START, format!("the document is {other}; {mend}")));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let (valid, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(valid);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let at = Position {
            line: before.matches('\n').count().saturating_add(1),
            column: line.chars().count().saturating_add(1),
        };
        let byte = rest.first().copied().unwrap_or_default();
        (at, format!("the byte 0x{byte:02X} is no UTF-8; {mend}"))
    })
}

fn too_large(size: usize) -> String {
    format!("the document has {size} bytes; a playbook has at most {MAX_BYTES}")
}

/// The document's root, or `None` and a finding that says why.
pub(crate) fn parse(source: &str, findings: &mut Findings) -> Option<Node> {
    if source.len() > MAX_BYTES {
        let message = too_large(source.len());
        findings.error(code::SYNTAX, Position::START, message);
        return None;
    }
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if let Some((at, character)) = unprintable(source) {
        let message = format!(
            "the control character U+{:04X} has no place in a playbook; remove it",
            u32::from(character)
        );
        findings.error(code::SYNTAX, at, message);
        return None;
    }
    quick::read(source).or_else(|| full(source, findings))
}

/// The same by a parser that knows all of YAML, and says what is wrong.
fn full(source: &str, findings: &mut Findings) -> Option<Node> {
    match Builder::default().build(source, findings) {
        Ok(Some(root)) => Some(root),
        Ok(None) => {
            findings.error(
                code::SYNTAX,
                Position::START,
                "the document is empty; a playbook begins with `name:`",
            );
            None
        }
        Err((at, message)) => {
            findings.error(code::SYNTAX, at, message);
            None
        }
    }
}

/// What the parser says. It reports a tab far behind where it stands, or where the value before it begins, if it names it at all.
fn by_the_parser(source: &str, error: &ScanError) -> Refusal {
    let at: Position = (*error.marker()).into();
    match tabbed(source).filter(|tab| tab.line <= at.line.saturating_add(1)) {
        Some(tab) => (tab, "a tab cannot indent YAML; use spaces".to_owned()),
        None => (at, said(error.info())),
    }
}

/// The first tab that indents a line.
fn tabbed(source: &str) -> Option<Position> {
    source.lines().enumerate().find_map(|(index, line)| {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        let indented = line.get(spaces..)?.starts_with('\t') && !line.trim().is_empty();
        indented.then_some(Position {
            line: index.saturating_add(1),
            column: spaces.saturating_add(1),
        })
    })
}

/// The first control character that YAML text may not hold. The parser takes a NUL for the end of its input, and would
/// silently leave out what follows.
fn unprintable(source: &str) -> Option<(Position, char)> {
    // Bytes are looked through much faster than characters; U+0080 to U+009F begin with 0xC2.
    if !source
        .bytes()
        .any(|byte| (byte < b' ' && !matches!(byte, b'\n' | b'\t' | b'\r')) || matches!(byte, 0x7f | 0xc2))
    {
        return None;
    }
    let mut at = Position::START;
    for character in source.chars() {
        match character {
            '\n' => {
                at.line = at.line.saturating_add(1);
                at.column = 1;
                continue;
            }
            '\t' | '\r' => {}
            control if control.is_control() && control != '\u{85}' => return Some((at, control)),
            _ => {}
        }
        at.column = at.column.saturating_add(1);
    }
    None
}

type Refusal = (Position, String);

/// A list or mapping that is still open.
enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<(At<String>, Node)>,
        /// The keys so far, once there are more than one sees at a glance.
        seen: HashSet<String>,
        key: Option<At<String>>,
    },
}

/// So many keys are compared one by one: quicker than remembering them.
const FEW: usize = 16;

/// Whether a mapping has this key already.
fn repeated(key: &str, entries: &[(At<String>, Node)], seen: &mut HashSet<String>) -> bool {
    if entries.len() < FEW {
        return entries.iter().any(|(known, _)| known.value == key);
    }
    if seen.is_empty() {
        seen.extend(entries.iter().map(|(known, _)| known.value.clone()));
    }
    !seen.insert(key.to_owned())
}

#[derive(Default)]
struct Builder {
    open: Vec<(Position, Open)>,
    root: Option<Node>,
    documents: usize,
}

impl Builder {
    fn build(mut self, source: &str, findings: &mut Findings) -> Result<Option<Node>, Refusal> {
        let mut parser = Parser::new_from_str(source);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| by_the_parser(source, &error))?;
            self.take(event, span, findings)?;
        }
        Ok(self.root)
    }

    fn take(&mut self, event: Event<'_>, span: Span, findings: &mut Findings) -> Result<(), Refusal> {
        let at = Position::from(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    return Err((
                        at,
                        "a file holds one playbook; move the second document to its own file".into(),
                    ));
                }
                Ok(())
            }
            Event::Alias(_) => Err((
                at,
                "aliases (`*name`) are not part of the playbook language; write the value out".into(),
            )),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                // Written as an escape (`\0`), so that the look at the raw text could not see it.
                let suspicious = |byte: u8| byte < b' ' || matches!(byte, 0x7f | 0xc2);
                if text.bytes().any(suspicious)
                    && text
                        .chars()
                        .any(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'))
                {
                    return Err((at, "a control character is escaped in here; remove it".into()));
                }
                let plain = style == ScalarStyle::Plain;
                let shape = Shape::Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.put(At::new(shape, at), findings)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                self.push(at, Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                self.push(
                    at,
                    Open::Map {
                        entries: Vec::new(),
                        seen: HashSet::new(),
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((at, Open::List(items))) => self.put(At::new(Shape::List(items), at), findings),
                Some((at, Open::Map { entries, .. })) => self.put(At::new(Shape::Map(entries), at), findings),
                None => Ok(()),
            },
        }
    }

    fn push(&mut self, at: Position, open: Open) -> Result<(), Refusal> {
        if let Some((_, Open::Map { key: None, .. })) = self.open.last() {
            return Err((at, "a key must be a single word, not a list or a mapping".into()));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err((
                at,
                format!("nested more than {MAX_DEPTH} levels deep; a playbook needs a handful"),
            ));
        }
        self.open.push((at, open));
        Ok(())
    }

    /// A complete node: the root, an item, a key, or a key's value.
    fn put(&mut self, node: Node, findings: &mut Findings) -> Result<(), Refusal> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((_, Open::List(items))) => items.push(node),
            Some((_, Open::Map { entries, seen, key })) => match (key.take(), node) {
                (
                    None,
                    At {
                        value: Shape::Scalar { text, .. },
                        at,
                    },
                ) => *key = Some(At::new(text, at)),
                (None, other) => {
                    return Err((
                        other.at,
                        "a key must be a single word, not a list or a mapping".into(),
                    ));
                }
                (Some(key), value) => {
                    if repeated(&key.value, entries, seen) {
                        let message = format!("{} appears twice here; keep one", quoted(&key.value));
                        findings.error(code::DUPLICATE_KEY, key.at, message);
                    } else {
                        entries.push((key, value));
                    }
                }
            },
        }
        Ok(())
    }
}

fn refuse_extras(at: Position, anchor: usize, tagged: bool) -> Result<(), Refusal> {
    if anchor != 0 {
        return Err((
            at,
            "anchors (`&name`) are not part of the playbook language; write the value out".into(),
        ));
    }
    if tagged {
        return Err((
            at,
            "tags (`!name`) are not part of the playbook language; leave it out".into(),
        ));
    }
    Ok(())
}

/// The parser's words, made a sentence of ours.
fn said(info: &str) -> String {
    format!("not valid YAML: {info}")
}
