//! The connector's XML: reads the children of a request's root in order, and writes answers.

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;

/// A request: the root's name, and its direct children with their text, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) root: String,
    pub(crate) children: Vec<(String, String)>,
}

impl Document {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.children
            .iter()
            .find(|(child, _)| child == name)
            .map_or("", |(_, text)| text)
    }
}

/// `None`: not well-formed, or with a document type, which the service does not read.
pub(crate) fn parse(body: &[u8]) -> Option<Document> {
    let mut reader = Reader::from_reader(body);
    let mut document = Document {
        root: String::new(),
        children: Vec::new(),
    };
    let (mut depth, mut ended) = (0_usize, false);
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(start) => {
                let name = String::from_utf8(start.name().as_ref().to_vec()).ok()?;
                match depth {
                    0 if ended => return None,
                    0 => document.root = name,
                    1 => document.children.push((name, String::new())),
                    _ => {}
                }
                depth += 1;
            }
            Event::Empty(empty) if depth == 1 => {
                let name = String::from_utf8(empty.name().as_ref().to_vec()).ok()?;
                document.children.push((name, String::new()));
            }
            Event::End(_) => {
                depth -= 1;
                ended |= depth == 0;
            }
            Event::Text(text) if depth == 2 => append(&mut document, &text.decode().ok()?),
            Event::GeneralRef(reference) if depth == 2 => {
                let resolved = match reference.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => resolve_predefined_entity(&reference.decode().ok()?)?.to_owned(),
                };
                append(&mut document, &resolved);
            }
            Event::DocType(_) => return None,
            Event::Eof => return ended.then_some(document),
            _ => {}
        }
        buffer.clear();
    }
}

fn append(document: &mut Document, text: &str) {
    if let Some((_, last)) = document.children.last_mut() {
        last.push_str(text);
    }
}

fn optional(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("<{name}>{}</{name}>", escape(value)),
        None => format!(r#"<{name} i:nil="true"/>"#),
    }
}

/// What an answer says beside its result.
pub(crate) struct Answer<'a> {
    pub(crate) root: &'a str,
    pub(crate) value: &'a str,
    pub(crate) retry: bool,
    pub(crate) result: Option<&'a str>,
    pub(crate) session: &'a str,
    pub(crate) upn: &'a str,
    pub(crate) affinity: &'a str,
}

impl Answer<'_> {
    pub(crate) fn write(&self) -> String {
        let Self {
            root,
            value,
            retry,
            session,
            ..
        } = self;
        format!(
            r#"<{root} xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Version>1.0</Version><Result><Value>{}</Value><Message i:nil="true"/><Retry>{retry}</Retry><Error i:nil="true"/><Exception i:nil="true"/><RenewCert>false</RenewCert></Result><SessionId>{session}</SessionId>{}<UserPrincipalName>{}</UserPrincipalName><AffinityUrl>{}</AffinityUrl><ValidEntropyNumber>0</ValidEntropyNumber></{root}>"#,
            escape(*value),
            optional("AuthenticationResult", self.result),
            escape(self.upn),
            escape(self.affinity),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_in_order_with_its_escapes_and_without_its_grandchildren() {
        let document =
            parse(b"<R><Version>1.0</Version><Upn>o&apos;hara&#64;x</Upn><P><K>no</K></P><E/></R>").unwrap();
        let child = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(document.root, "R");
        assert_eq!(
            document.children,
            [
                child("Version", "1.0"),
                child("Upn", "o'hara@x"),
                child("P", ""),
                child("E", "")
            ]
        );
    }

    #[test]
    fn broken_xml_and_document_types_are_not_read() {
        for bad in [
            "<R><A></R>",
            "<R>",
            "",
            "<!DOCTYPE R [<!ENTITY x 'y'>]><R>&x;</R>",
            "<R></R><S></S>",
            "{}",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
