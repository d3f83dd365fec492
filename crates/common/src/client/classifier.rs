//! The classifier: what was decided on tickets, and how the gate does.

use http::Method;

use super::peer::{Peer, PeerError, Request};
use crate::decision::Decision;
use crate::explain::ExplainedDecision;
use crate::ids::{PlaybookName, TicketId};
use crate::modes::{Bar, GateReport, ReviewDecision, Reviewed, Standing};

/// The classifier.
#[derive(Clone)]
pub struct ClassifierClient(pub Peer);

impl ClassifierClient {
    /// The decision on a ticket and how it came about; not found where it has not been decided on.
    pub async fn explained(&self, ticket: &TicketId) -> Result<ExplainedDecision, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/decisions/{ticket}")))
            .await
    }

    /// The decision on a ticket; not found where it has not been decided on.
    pub async fn decision(&self, ticket: &TicketId) -> Result<Decision, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/decisions/{ticket}")))
            .await
    }

    /// How far a playbook is from acting by itself.
    pub async fn standing(&self, playbook: &PlaybookName, bar: Bar) -> Result<Standing, PeerError> {
        let path = format!("/api/v1/gate/standing/{playbook}");
        let bar = bar.to_string();
        self.0.read(Request::get(&path).query("bar", Some(&bar))).await
    }

    /// Say whether the decision on a ticket was right.
    pub async fn review(&self, ticket: &TicketId, review: &ReviewDecision) -> Result<Reviewed, PeerError> {
        let path = format!("/api/v1/decisions/{ticket}/review");
        self.0.read(Request::json(Method::PUT, &path, review)).await
    }

    /// How the gate does, from `since` on; a while back where it is `None`.
    pub async fn report(&self, since: Option<&str>) -> Result<GateReport, PeerError> {
        self.0.read(Self::report_since(since)).await
    }

    /// The same as a picture: an SVG document.
    pub async fn report_picture(&self, since: Option<&str>) -> Result<String, PeerError> {
        let request = Self::report_since(since).accepting("image/svg+xml");
        let (_, body) = self.0.send(request).await?;
        String::from_utf8(body).map_err(|_| self.0.unknown("the picture is no text".to_owned()))
    }

    fn report_since(since: Option<&str>) -> Request<'_> {
        Request::get("/api/v1/gate/report").query("since", since)
    }
}
