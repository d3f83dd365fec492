//! Where tags, comments and text begin and end.

/// A piece of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Text(&'a str),
    Comment(&'a str),
    Tag(Tag<'a>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// In lower case.
    pub(super) name: String,
    pub(super) closes: bool,
    /// `<x/>`.
    pub(super) empty: bool,
    attributes: &'a str,
}

/// The attributes of a tag are looked at this far; what makes them longer is a picture.
const ATTRIBUTES_LOOKED_AT: usize = 2_000;

impl Tag<'_> {
    /// Its first attributes, in lower case and without white space.
    fn look(&self) -> String {
        self.attributes
            .chars()
            .take(ATTRIBUTES_LOOKED_AT)
            .filter(|c| !c.is_whitespace())
            .flat_map(char::to_lowercase)
            .collect()
    }

    pub(super) fn has_background(&self) -> bool {
        !self.attributes.is_empty() && {
            let look = self.look();
            look.contains("bgcolor=") || look.contains("background")
        }
    }

    /// Whether nobody sees what it holds.
    pub(super) fn is_hidden(&self, painted: bool) -> bool {
        const STYLES: [&str; 8] = [
            "display:none",
            "visibility:hidden",
            "mso-hide:all",
            "opacity:0;",
            "max-height:0",
            "font-size:0",
            "font-size:1px",
            "text-indent:-9999",
        ];
        const WHITE: [&str; 4] = ["color:#fff", "color:white", "color=\"#fff", "color=\"white"];
        if self.attributes.trim().is_empty() {
            return false;
        }
        let look = self.look();
        // `font-size:0.9em` is small, not nothing.
        let styled = STYLES.iter().any(|style| {
            look.find(style)
                .is_some_and(|at| !look.get(at + style.len()..).unwrap_or_default().starts_with('.'))
        });
        let attribute = self.attributes.split_whitespace().take(40).any(|word| {
            word.eq_ignore_ascii_case("hidden") || word.to_ascii_lowercase().starts_with("hidden=")
        });
        styled || attribute || (!painted && WHITE.iter().any(|white| look.contains(white)))
    }

    /// Whether it holds an earlier letter, as mail programs mark it.
    pub(super) fn quotes_a_letter(&self) -> bool {
        let look = self.look();
        look.contains("type=\"cite\"") || look.contains("type=cite") || look.contains("quote")
    }
}

/// Goes through a page once. What opens and never closes is text, and is looked for once only.
pub(super) struct Walk<'a> {
    rest: &'a str,
    /// The element whose content is no markup: a script's `<` begins no tag.
    raw: Option<String>,
    /// Whether a `>` is still ahead.
    closes: bool,
    /// Whether a quoted value that began was found to never end.
    unbalanced: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(page: &'a str) -> Self {
        Self {
            rest: page,
            raw: None,
            closes: true,
            unbalanced: false,
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn markup(&mut self) -> Option<Step<'a>> {
        if !self.closes {
            return None;
        }
        if let Some(inside) = self.rest.strip_prefix("<!--") {
            let (inside, rest) = inside.split_once("-->").unwrap_or((inside, ""));
            self.rest = rest;
            return Some(Step::Comment(inside));
        }
        let after = self.rest.get(1..)?;
        let closes = after.starts_with('/');
        let name = after.get(usize::from(closes)..)?;
        let declares = name.starts_with(['!', '?']) && !closes;
        let length = name
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-'))
            .count();
        let (name, attributes) = name.split_at_checked(length)?;
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.len() <= 40
            && !name.ends_with(':')
            && attributes.starts_with(|c: char| c == '>' || c == '/' || c.is_whitespace());
        if !named && !declares {
            return None;
        }
        let end = self.end_of_tag(attributes)?;
        let attributes = attributes.get(..end)?;
        self.rest = self.rest.get(1 + usize::from(closes) + length + end + 1..)?;
        if declares {
            return Some(Step::Text(""));
        }
        let name = name.to_ascii_lowercase();
        let empty = attributes.ends_with('/');
        if !closes && !empty && matches!(name.as_str(), "script" | "style" | "xmp") {
            self.raw = Some(name.clone());
        }
        Some(Step::Tag(Tag {
            name,
            closes,
            empty,
            attributes,
        }))
    }

    /// Where the `>` of a tag is that is not inside a quoted value.
    fn end_of_tag(&mut self, attributes: &str) -> Option<usize> {
        if !self.unbalanced {
            let mut quote = None;
            let mut before = b' ';
            for (at, byte) in attributes.bytes().enumerate() {
                match quote {
                    Some(open) if open == byte => quote = None,
                    None if byte == b'>' => return Some(at),
                    None if matches!(byte, b'"' | b'\'') && before == b'=' => quote = Some(byte),
                    _ => {}
                }
                if !byte.is_ascii_whitespace() {
                    before = byte;
                }
            }
            self.unbalanced = true;
        }
        let end = attributes.find('>');
        self.closes = end.is_some();
        end
    }

    /// The content of a script or style, up to the tag that closes it.
    fn raw_text(&mut self, name: &str) -> &'a str {
        let bytes = self.rest.as_bytes();
        let end = bytes.windows(name.len() + 2).position(|window| {
            window.starts_with(b"</")
                && window
                    .get(2..)
                    .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
        });
        self.take(end.unwrap_or(bytes.len()))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some(name) = self.raw.take() {
            return Some(Step::Text(self.raw_text(&name)));
        }
        if self.rest.starts_with('<') {
            if let Some(step) = self.markup() {
                return Some(step);
            }
            return Some(Step::Text(self.take(1)));
        }
        let end = self.rest.find('<').unwrap_or(self.rest.len());
        Some(Step::Text(self.take(end)))
    }
}
