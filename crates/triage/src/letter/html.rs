//! HTML to text, tolerant of what mail programs write. Nothing is run or fetched; one pass, whatever is nested.

mod entity;
mod tag;

use tag::{Step, Tag, Walk};

/// A page as a person sees it, and what they do not see.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) visible: String,
    pub(super) hidden: String,
}

/// The text of a body. One without tags is plain text already; one with tags but none that makes lines keeps the
/// line ends it has.
pub(super) fn to_text(body: &str) -> Page {
    let mut survey = Survey::default();
    for step in Walk::new(body) {
        match step {
            Step::Tag(tag) => survey.meet(&tag),
            Step::Comment(_) => survey.comment = true,
            Step::Text(_) => {}
        }
    }
    if !survey.html && !survey.comment {
        return Page {
            visible: body.to_owned(),
            hidden: String::new(),
        };
    }
    let mut reader = Reader {
        has_lines: survey.lines,
        html: survey.html,
        ..Reader::default()
    };
    for step in Walk::new(body) {
        match step {
            Step::Text(text) => reader.text(text),
            Step::Comment(text) => reader.comment(text),
            Step::Tag(tag) => reader.tag(&tag),
        }
    }
    reader.page
}

#[derive(Default)]
struct Survey {
    html: bool,
    lines: bool,
    comment: bool,
}

impl Survey {
    fn meet(&mut self, tag: &Tag<'_>) {
        let makes_lines = is_block(&tag.name);
        self.lines |= makes_lines;
        self.html |= makes_lines || INLINE.contains(&tag.name.as_str());
    }
}

/// Elements that tell HTML from a text with angle brackets, besides those that make lines.
const INLINE: [&str; 18] = [
    "html", "body", "head", "span", "font", "b", "i", "u", "a", "em", "strong", "img", "style", "script",
    "meta", "td", "sup", "small",
];

/// Elements of which nothing is shown as text.
const UNSEEN: [&str; 16] = [
    "head", "title", "style", "script", "noscript", "template", "iframe", "object", "svg", "math", "audio",
    "video", "canvas", "select", "datalist", "xml",
];

/// Elements without content: nothing closes them.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
];

fn is_block(name: &str) -> bool {
    const BLOCKS: [&str; 32] = [
        "p",
        "div",
        "br",
        "tr",
        "li",
        "ul",
        "ol",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "hr",
        "section",
        "article",
        "header",
        "footer",
        "address",
        "dl",
        "dt",
        "dd",
        "form",
        "fieldset",
        "center",
        "main",
        "nav",
        "aside",
        "figure",
    ];
    BLOCKS.contains(&name)
}

/// An element being left out until it closes.
struct Skipped {
    name: String,
    depth: usize,
    /// Whether its words are kept as hidden: code and styles are no words.
    kept: bool,
}

#[derive(Default)]
struct Reader {
    page: Page,
    has_lines: bool,
    html: bool,
    skipped: Option<Skipped>,
    /// How deep inside quoted letters.
    quotes: usize,
    /// Every `blockquote` open: whether it quotes a letter.
    blockquotes: Vec<bool>,
    preformatted: usize,
    /// Whether anything has a background: white letters may be seen on it.
    painted: bool,
}

impl Reader {
    fn text(&mut self, raw: &str) {
        if let Some(skipped) = &self.skipped {
            if skipped.kept {
                entity::decode(raw, |c| self.page.hidden.push(c));
            }
            return;
        }
        let flows = self.has_lines && self.preformatted == 0;
        if !self.html {
            self.page.visible.push_str(raw);
            return;
        }
        let (page, quotes) = (&mut self.page, self.quotes);
        entity::decode(raw, |c| {
            // Decoded characters are text, so only those of the source flow together; the few that were written
            // as entities of white space are no loss.
            let c = if flows && matches!(c, '\n' | '\r' | '\t') {
                ' '
            } else {
                c
            };
            if c == ' ' && (page.visible.is_empty() || page.visible.ends_with([' ', '\n'])) {
                return;
            }
            if quotes > 0 && c != '\n' && (page.visible.is_empty() || page.visible.ends_with('\n')) {
                page.visible.push_str("> ");
            }
            page.visible.push(c);
        });
    }

    fn comment(&mut self, text: &str) {
        // `<!--[if mso]>` is markup for one mail program, and styles in comments are for very old ones.
        let inside = text.trim();
        let markup = inside.starts_with("[if") || inside.starts_with("<![endif]") || inside.contains('{');
        if !markup && self.skipped.as_ref().is_none_or(|skipped| skipped.kept) {
            self.page.hidden.push_str(inside);
            self.page.hidden.push('\n');
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        if let Some(skipped) = &mut self.skipped {
            let ended = skipped.meets(tag);
            if skipped.kept && is_block(&tag.name) && !self.page.hidden.ends_with('\n') {
                self.page.hidden.push('\n');
            }
            if !ended {
                return;
            }
            self.skipped = None;
            // A body that begins, and a paragraph that a block cut short, are read on.
            if tag.closes {
                return;
            }
        }
        self.painted |= tag.has_background();
        if self.leaves_out(tag) {
            return;
        }
        self.structure(tag);
    }

    /// Begin to leave out an element of which nothing is shown.
    fn leaves_out(&mut self, tag: &Tag<'_>) -> bool {
        if tag.closes || tag.empty || VOID.contains(&tag.name.as_str()) {
            return false;
        }
        let unseen = UNSEEN.contains(&tag.name.as_str());
        if !unseen && !tag.is_hidden(self.painted) {
            return false;
        }
        if is_block(&tag.name) && !self.page.visible.ends_with('\n') {
            self.page.visible.push('\n');
        }
        self.skipped = Some(Skipped {
            name: tag.name.clone(),
            depth: 1,
            kept: !unseen,
        });
        true
    }

    fn structure(&mut self, tag: &Tag<'_>) {
        match tag.name.as_str() {
            "blockquote" if tag.closes => {
                self.line_end();
                if self.blockquotes.pop() == Some(true) {
                    self.quotes -= 1;
                }
            }
            "blockquote" => {
                self.line_end();
                let quotes = tag.quotes_a_letter();
                self.blockquotes.push(quotes);
                self.quotes += usize::from(quotes);
            }
            "br" => self.page.visible.push('\n'),
            "pre" => {
                self.line_end();
                self.preformatted = if tag.closes {
                    self.preformatted.saturating_sub(1)
                } else {
                    self.preformatted + 1
                };
            }
            "td" | "th" => self.text(" "),
            // An empty line is what a reader sees between paragraphs.
            "p" if !tag.closes => {
                self.line_end();
                if !self.page.visible.is_empty() && !self.page.visible.ends_with("\n\n") {
                    self.page.visible.push('\n');
                }
            }
            name if is_block(name) => self.line_end(),
            _ => {}
        }
    }

    fn line_end(&mut self) {
        let trimmed = self.page.visible.trim_end_matches(' ').len();
        self.page.visible.truncate(trimmed);
        if !self.page.visible.is_empty() && !self.page.visible.ends_with('\n') {
            self.page.visible.push('\n');
        }
    }
}

impl Skipped {
    /// Whether a tag ends what is left out.
    fn meets(&mut self, tag: &Tag<'_>) -> bool {
        if self.name == tag.name {
            if tag.closes {
                self.depth -= 1;
            } else if !tag.empty {
                self.depth += 1;
            }
            return self.depth == 0;
        }
        match self.name.as_str() {
            "head" => tag.name == "body",
            "p" => is_block(&tag.name) && tag.name != "br",
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
