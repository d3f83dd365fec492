//! Where the lists of a document and their items begin and end, to the byte.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::yaml::Position;

/// One list.
#[derive(Debug)]
pub(super) struct List {
    /// In brackets.
    pub(super) flow: bool,
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    pub(super) items: Vec<Item>,
}

/// One item of a list.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it begins: the line counted from 1, the column from 0.
    pub(super) line: usize,
    pub(super) column: usize,
    /// A mapping in braces.
    pub(super) flow: bool,
    /// The byte behind it.
    pub(super) end: usize,
    /// That byte begins a line: it ends with a text in lines of its own.
    pub(super) ends_line: bool,
}

/// All lists of a document.
#[derive(Debug, Default)]
pub(super) struct Places {
    lists: Vec<List>,
    /// The innermost list around each single value.
    around: HashMap<Position, usize>,
}

enum Open {
    Map { flow: bool },
    List { number: usize },
}

impl Places {
    /// `None` where the source is no YAML.
    pub(super) fn of(source: &str) -> Option<Self> {
        let text = source.strip_prefix('\u{feff}').unwrap_or(source);
        let skipped = source.len().saturating_sub(text.len());
        let mut reading = Reading::default();
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.ok()?;
            reading.take(&event, span);
        }
        let mut places = reading.places;
        // The parser counts characters.
        let bytes: Vec<usize> = text
            .char_indices()
            .map(|(byte, _)| byte)
            .chain([text.len()])
            .collect();
        for item in places.lists.iter_mut().flat_map(|list| &mut list.items) {
            item.end = bytes.get(item.end)?.saturating_add(skipped);
        }
        Some(places)
    }

    pub(super) fn lists(&self) -> &[List] {
        &self.lists
    }

    /// The number of the innermost list around the value at `at`.
    pub(super) fn list_of(&self, at: Position) -> Option<usize> {
        self.around.get(&at).copied()
    }
}

#[derive(Default)]
struct Reading {
    places: Places,
    open: Vec<Open>,
    /// Behind the last thing that was read, and whether a line begins there.
    end: usize,
    ends_line: bool,
}

impl Reading {
    fn take(&mut self, event: &Event<'_>, span: Span) {
        // Brackets take a place, the beginning of a block takes none.
        let flow = span.start.index() != span.end.index();
        match event {
            Event::Scalar(_, style, ..) => {
                self.begins(span, false);
                let innermost = self.open.iter().rev().find_map(|open| match open {
                    Open::List { number } => Some(*number),
                    Open::Map { .. } => None,
                });
                if let Some(number) = innermost {
                    self.places.around.insert(span.start.into(), number);
                }
                self.end = span.end.index();
                self.ends_line =
                    matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && span.end.col() == 0;
                self.ended();
            }
            Event::MappingStart(..) => {
                self.begins(span, flow);
                self.open.push(Open::Map { flow });
            }
            Event::SequenceStart(..) => {
                self.begins(span, flow);
                self.open.push(Open::List {
                    number: self.places.lists.len(),
                });
                self.places.lists.push(List {
                    flow,
                    line: span.start.line(),
                    items: Vec::new(),
                });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let flow = match self.open.pop() {
                    Some(Open::Map { flow }) => flow,
                    Some(Open::List { number }) => {
                        self.places.lists.get(number).is_some_and(|list| list.flow)
                    }
                    None => false,
                };
                if flow {
                    self.end = span.start.index().saturating_add(1);
                    self.ends_line = false;
                }
                self.ended();
            }
            _ => {}
        }
    }

    /// Whatever begins directly in a list is an item of it.
    fn begins(&mut self, span: Span, flow: bool) {
        let Some(Open::List { number }) = self.open.last() else {
            return;
        };
        if let Some(list) = self.places.lists.get_mut(*number) {
            list.items.push(Item {
                line: span.start.line(),
                column: span.start.col(),
                flow,
                end: span.end.index(),
                ends_line: false,
            });
        }
    }

    /// What has ended was an item, if it stands directly in a list.
    fn ended(&mut self) {
        let Some(Open::List { number }) = self.open.last() else {
            return;
        };
        let list = self.places.lists.get_mut(*number);
        if let Some(item) = list.and_then(|list| list.items.last_mut()) {
            item.end = self.end;
            item.ends_line = self.ends_line;
        }
    }
}
