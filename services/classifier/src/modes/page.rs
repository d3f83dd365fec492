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
        /// What will be known of who presses.
        recorded: String,
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
    /// Whoever presses must have signed in.
    SignIn,
    /// Whoever has signed in may not approve.
    NotYours,
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
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::NotYours => StatusCode::FORBIDDEN,
        }
    }

    /// The document.
    pub fn html(&self) -> String {
        let (title, body) = self.words();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
        )
    }
}

impl Page {
    /// Heading and text, as HTML.
    fn words(&self) -> (String, String) {
        let plain = |title: &str, text: &str| (title.to_owned(), format!("<p>{text}</p>"));
        match self {
            Self::Offer {
                ticket,
                playbook,
                version,
                recorded,
            } => (
                format!("Ticket {}", escaped(ticket)),
                format!(
                    "<p>Firstline suggests to run playbook <b>{}</b> {} for ticket <b>{}</b>.</p>\n\
                     <p>The requester still has to prove who they are, and everything that speaks against it is checked \
                     once more. {}</p>\n\
                     <form method=\"post\"><button type=\"submit\">Run it</button></form>",
                    escaped(playbook),
                    escaped(version),
                    escaped(ticket),
                    escaped(recorded)
                ),
            ),
            Self::Started => plain(
                "It runs",
                "The playbook has been started. The ticket tells how it goes on.",
            ),
            Self::Used => plain(
                "Already approved",
                "This suggestion was approved before, and works once only. The ticket tells how it went on.",
            ),
            Self::Expired => plain(
                "Too late",
                "Nobody approved this suggestion in time. The ticket is yours.",
            ),
            Self::Unknown => plain(
                "Nothing here",
                "There is no such suggestion. Open the link as it stands in the newest note on the ticket.",
            ),
            Self::Against(blockers) => ("Not run".to_owned(), against(blockers)),
            Self::Away(what) => {
                let what = escaped(what);
                plain(
                    "Not now",
                    &format!(
                        "Nothing was done: {what} cannot be reached this moment. Go back and press the button again in a minute."
                    ),
                )
            }
            Self::SignIn => plain(
                "Sign in first",
                "Nothing was done: whoever approves must be known here. Sign in at your gateway, then open the link on the \
                 ticket again.",
            ),
            Self::NotYours => plain(
                "Not yours to approve",
                "Nothing was done: you have signed in, and your account has not the role operator here.",
            ),
        }
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
    use super::super::approver::Approver;
    use super::*;

    #[test]
    fn the_offer_has_one_button_and_nothing_that_runs() {
        let page = Page::Offer {
            ticket: "2041".to_owned(),
            playbook: "password_reset".to_owned(),
            version: "1.2".to_owned(),
            recorded: Approver::Link.told(),
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
            (Page::SignIn, 401),
            (Page::NotYours, 403),
        ] {
            assert_eq!(page.status().as_u16(), status, "{page:?}");
        }
    }
}
