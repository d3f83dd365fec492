//! What an agent sees who opens the link of a suggestion. Plain pages without scripts, styles or links to elsewhere;
//! looking at one changes nothing, for mail and chat look at every link before their readers do.

use std::fmt::Write as _;

use common::Blocker;
use http::StatusCode;

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// What would be done, with the button.
    Offer {
        /// For which ticket.
        ticket: String,
        /// By which playbook.
        playbook: String,
        /// Its version.
        version: String,
    },
    /// It is being done.
    Started,
    /// It was approved before.
    Used,
    /// Nobody approved it in time.
    Expired,
    /// Nothing was ever suggested under this code, or another one has taken its place.
    Unknown,
    /// It is not done: all that speaks against it.
    Against(Vec<Blocker>),
    /// It cannot be decided on right now.
    Away(String),
}

impl Page {
    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Offer { .. } | Self::Started => StatusCode::OK,
            Self::Used | Self::Expired => StatusCode::GONE,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Against(_) => StatusCode::CONFLICT,
            Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The document.
    pub fn html(&self) -> String {
        let (title, body) = match self {
            Self::Offer {
                ticket,
                playbook,
                version,
            } => (
                format!("Ticket {}", escaped(ticket)),
                format!(
                    "<p>Firstline suggests to run playbook <b>{}</b> {} for ticket <b>{}</b>.</p>\n\
                     <p>The requester still has to prove who they are, and everything that speaks against it is checked \
                     once more.</p>\n\
                     <form method=\"post\"><button type=\"submit\">Run it</button></form>",
                    escaped(playbook),
                    escaped(version),
                    escaped(ticket)
                ),
            ),
            Self::Started => (
                "It runs".to_owned(),
                "<p>The playbook has been started. The ticket tells how it goes on.</p>".to_owned(),
            ),
            Self::Used => (
                "Already approved".to_owned(),
                "<p>This suggestion was approved before, and works once only. The ticket tells how it went on.</p>"
                    .to_owned(),
            ),
            Self::Expired => (
                "Too late".to_owned(),
                "<p>Nobody approved this suggestion in time. The ticket is yours.</p>".to_owned(),
            ),
            Self::Unknown => (
                "Nothing here".to_owned(),
                "<p>There is no such suggestion. Open the link as it stands in the newest note on the ticket.</p>"
                    .to_owned(),
            ),
            Self::Against(blockers) => ("Not run".to_owned(), against(blockers)),
            Self::Away(what) => (
                "Not now".to_owned(),
                format!(
                    "<p>Nothing was done: {} cannot be reached this moment. Go back and press the button again in a minute.</p>",
                    escaped(what)
                ),
            ),
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
        )
    }
}

fn against(blockers: &[Blocker]) -> String {
    let mut body = "<p>Nothing was done, and the ticket stays with you, because:</p>\n<ul>".to_owned();
    for blocker in blockers {
        let _ = write!(body, "\n<li>{}</li>", escaped(&blocker.detail));
    }
    body.push_str("\n</ul>");
    body
}

/// As text, whatever it contains.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offer_has_one_button_and_nothing_that_runs() {
        let page = Page::Offer {
            ticket: "2041".to_owned(),
            playbook: "password_reset".to_owned(),
            version: "1.2".to_owned(),
        };
        insta::assert_snapshot!(page.html());
    }

    #[test]
    fn what_speaks_against_it_is_text() {
        let blocker = Blocker {
            code: "switched_off".to_owned(),
            detail: "<script>alert('x')</script> & more".to_owned(),
        };
        let html = Page::Against(vec![blocker]).html();
        assert!(
            html.contains("<li>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more</li>"),
            "{html}"
        );
    }

    #[test]
    fn each_page_has_the_status_that_it_is() {
        for (page, status) in [
            (Page::Started, 200),
            (Page::Used, 410),
            (Page::Expired, 410),
            (Page::Unknown, 404),
            (Page::Against(vec![]), 409),
            (Page::Away("the directory".to_owned()), 503),
        ] {
            assert_eq!(page.status().as_u16(), status, "{page:?}");
        }
    }
}
