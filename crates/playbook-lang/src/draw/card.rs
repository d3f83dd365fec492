//! What stands in a box, and so how large the box is.

use super::layout::{Contour, Item, Size};
use super::picture::{Look, Node};
use super::text::{clean, fit, width, wrap};

/// The size of titles, of second lines, of small print.
pub(crate) const TITLE: f64 = 13.5;
pub(crate) const DETAIL: f64 = 11.5;
const WIDE: f64 = 260.0;
/// Left of the text, where the icon stands.
const ICON: f64 = 42.0;
const RIGHT: f64 = 14.0;

/// How a line of text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Title,
    Detail,
    /// In a filled label.
    Tag,
    Note,
}

impl Voice {
    pub(crate) const fn size(self) -> f64 {
        match self {
            Self::Title => TITLE,
            Self::Detail => DETAIL,
            Self::Tag | Self::Note => 10.5,
        }
    }

    const fn height(self) -> f64 {
        match self {
            Self::Title => 17.0,
            Self::Detail => 15.5,
            Self::Tag => 19.0,
            Self::Note => 14.5,
        }
    }
}

/// One line of text, from the upper left corner of its box to its base line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    pub(crate) words: String,
    pub(crate) voice: Voice,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) centred: bool,
}

/// A box with its texts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Card {
    pub(crate) size: Size,
    pub(crate) texts: Vec<Text>,
}

/// Room for text by look: from the left, how wide, from the top and bottom, and whether it is centred.
struct Form {
    left: f64,
    room: f64,
    above: f64,
    below: f64,
    centred: bool,
}

impl Card {
    pub(crate) fn of(node: &Node) -> Self {
        match node.look {
            Look::Fork => Self::bare(120.0, 6.0),
            Look::Parallel => Self::header(node),
            Look::Start => Self::pill(node, 78.0, 30.0),
            Look::Unwritten => Self::pill(node, 96.0, 28.0),
            look => Self::filled(node, &form(look)),
        }
    }

    fn bare(width: f64, height: f64) -> Self {
        Self {
            size: Size { width, height },
            texts: Vec::new(),
        }
    }

    /// One centred line, in a box of this size.
    fn pill(node: &Node, width: f64, height: f64) -> Self {
        let voice = Voice::Detail;
        Self {
            texts: vec![Text {
                words: clean(&node.title),
                voice,
                x: width / 2.0,
                y: height / 2.0 + voice.size() * 0.35,
                centred: true,
            }],
            ..Self::bare(width, height)
        }
    }

    /// A frame's: two lines at its top, and room below for what stands in it.
    fn header(node: &Node) -> Self {
        let room = 340.0;
        let detail = node.detail.as_deref().unwrap_or_default();
        let mut card = Self::bare(260.0, 0.0);
        let lines = [
            (fit(&node.title, TITLE, room), Voice::Title, 25.0),
            (fit(detail, DETAIL, room), Voice::Detail, 42.0),
        ];
        for (words, voice, y) in lines {
            card.size.width = card.size.width.max(width(&words, voice.size()) + ICON + 24.0);
            card.texts.push(Text {
                words,
                voice,
                x: ICON + 2.0,
                y,
                centred: false,
            });
        }
        card
    }

    fn filled(node: &Node, form: &Form) -> Self {
        let mut y = form.above;
        let mut texts = Vec::new();
        for (words, voice) in lines(node, form.room) {
            y += voice.height();
            texts.push(Text {
                words,
                voice,
                x: form.left + if form.centred { form.room / 2.0 } else { 0.0 },
                y: y - 4.0,
                centred: form.centred,
            });
        }
        let mut width = WIDE;
        if form.centred {
            width = 2.0 * form.left + form.room;
        }
        let mut height = y + form.below;
        if node.look == Look::Decision {
            // A rhombus has room for its text in the middle only.
            let text = y - form.above;
            height = (text * 2.9).max(92.0);
            for line in &mut texts {
                line.y += (height - text) / 2.0;
            }
        }
        Self {
            size: Size { width, height },
            texts,
        }
    }
}

fn lines(node: &Node, room: f64) -> Vec<(String, Voice)> {
    let mut lines = Vec::new();
    if node.look == Look::Privileged {
        lines.push(("privileged".to_owned(), Voice::Tag));
    }
    let titles = wrap(&node.title, TITLE, room, 2);
    lines.extend(titles.into_iter().map(|line| (line, Voice::Title)));
    let detail = node.detail.as_deref().unwrap_or_default();
    if node.look == Look::Escalation {
        let reason = wrap(detail, DETAIL, room, 3);
        lines.extend(reason.into_iter().map(|line| (line, Voice::Detail)));
    } else if !detail.is_empty() {
        lines.push((fit(detail, DETAIL, room), Voice::Detail));
    }
    if node.planned {
        lines.push(("(planned)".to_owned(), Voice::Note));
    }
    let notes = node
        .notes
        .iter()
        .map(|note| (fit(note, Voice::Note.size(), room), Voice::Note));
    lines.extend(notes);
    lines
}

fn form(look: Look) -> Form {
    let (left, room, above, below, centred) = match look {
        Look::Decision => (52.0, 140.0, 0.0, 0.0, true),
        Look::Resolved => (28.0, 130.0, 8.0, 10.0, true),
        Look::Escalation => (26.0, 188.0, 9.0, 11.0, true),
        // A half circle at its right.
        Look::Wait => (ICON, WIDE - ICON - 26.0, 9.0, 11.0, false),
        // A folded corner.
        Look::Delivery => (ICON, WIDE - ICON - 24.0, 9.0, 11.0, false),
        _ => (ICON, WIDE - ICON - RIGHT, 9.0, 11.0, false),
    };
    Form {
        left,
        room,
        above,
        below,
        centred,
    }
}

/// The box as the layout sees it.
pub(crate) fn item(node: &Node, card: &Card) -> Item {
    let contour = match node.look {
        Look::Decision => Contour::Diamond,
        Look::Fork => Contour::Bar,
        Look::Resolved | Look::Escalation | Look::Start | Look::Unwritten => Contour::Box { inset: 26.0 },
        Look::Verification => Contour::Box { inset: 34.0 },
        _ => Contour::Box { inset: 22.0 },
    };
    Item {
        size: card.size,
        contour,
        frame: node.frame,
        header: (node.look == Look::Parallel).then_some(62.0),
    }
}
