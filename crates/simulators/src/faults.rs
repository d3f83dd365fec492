//! What can go wrong on the way to a system: slowness, throttling, errors, broken connections, an outage.
//!
//! A fault waits for requests that match it and strikes each of them, so many times or until it is lifted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::Shared;

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Wait before acting.
    Latency(Duration),
    /// 429 in the vendor's words; `retry_after` in seconds, `None` sends no header. Nothing is done.
    TooManyRequests {
        /// Seconds.
        retry_after: Option<u64>,
    },
    /// Another status, in the vendor's words. Nothing is done.
    Status(u16),
    /// The connection breaks before anything is done.
    DropBefore,
    /// It is done, and the connection breaks before the answer.
    DropAfter,
    /// It is done; the answer breaks off in the middle of its body.
    CutBody,
}

/// A fault and whom it strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    kind: FaultKind,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    method: Option<String>,
}

impl Fault {
    /// A fault that strikes every request until it is lifted.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            times: None,
            path: None,
            method: None,
        }
    }

    /// Strike only the next `times` matching requests.
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// Strike only requests whose path contains `path`, without regard to case.
    pub fn on(self, path: &str) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..self
        }
    }

    /// Strike only requests with this method.
    pub fn method(self, method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..self
        }
    }

    fn strikes(&self, method: &str, path: &str) -> bool {
        let on_path = self
            .path
            .as_ref()
            .is_none_or(|part| path.to_ascii_lowercase().contains(&part.to_ascii_lowercase()));
        on_path
            && self
                .method
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
    }
}

/// Names a fault, to lift it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultId(u64);

#[derive(Debug, Default)]
struct State {
    outage: bool,
    next: u64,
    armed: Vec<(FaultId, Fault)>,
}

/// The faults of one system.
#[derive(Debug, Default)]
pub struct Faults {
    state: Shared<State>,
}

impl Faults {
    /// Arm `fault`.
    pub fn inject(&self, fault: Fault) -> FaultId {
        let mut state = self.state.lock();
        let id = FaultId(state.next);
        state.next += 1;
        state.armed.push((id, fault));
        id
    }

    /// Disarm one; unknown ids are none.
    pub fn lift(&self, id: FaultId) {
        self.state.lock().armed.retain(|(armed, _)| *armed != id);
    }

    /// Whether it may still strike. One that was armed once and is not any more has struck.
    pub fn is_armed(&self, id: FaultId) -> bool {
        self.state.lock().armed.iter().any(|(armed, _)| *armed == id)
    }

    /// Disarm all and end the outage.
    pub fn lift_all(&self) {
        let mut state = self.state.lock();
        state.armed.clear();
        state.outage = false;
    }

    /// While on, every connection breaks and nothing is done.
    pub fn outage(&self, on: bool) {
        self.state.lock().outage = on;
    }

    /// What happens to this request: every matching latency, and at most one other fault.
    pub(crate) fn take(&self, method: &str, path: &str) -> Vec<FaultKind> {
        let mut state = self.state.lock();
        if state.outage {
            return vec![FaultKind::DropBefore];
        }
        let mut plan = Vec::new();
        let mut struck = false;
        for (_, fault) in &mut state.armed {
            let delays = matches!(fault.kind, FaultKind::Latency(_));
            if fault.times == Some(0) || (struck && !delays) || !fault.strikes(method, path) {
                continue;
            }
            fault.times = fault.times.map(|left| left - 1);
            struck |= !delays;
            plan.push(fault.kind.clone());
        }
        state.armed.retain(|(_, fault)| fault.times != Some(0));
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_strikes_so_often_and_a_standing_one_until_it_is_lifted() {
        let faults = Faults::default();
        let once = faults.inject(
            Fault::new(FaultKind::Status(500))
                .times(1)
                .on("/Tickets")
                .method("POST"),
        );
        let standing = faults.inject(Fault::new(FaultKind::Latency(Duration::from_millis(5))));
        assert_eq!(faults.take("GET", "/api/tickets").len(), 1, "only the latency");
        assert!(faults.is_armed(once));
        let both = faults.take("POST", "/api/tickets");
        assert_eq!(
            both,
            [
                FaultKind::Status(500),
                FaultKind::Latency(Duration::from_millis(5))
            ]
        );
        assert_eq!((faults.is_armed(once), faults.is_armed(standing)), (false, true));
        assert_eq!(faults.take("POST", "/api/tickets").len(), 1);
        faults.lift(standing);
        assert!(faults.take("POST", "/api/tickets").is_empty());
        faults.outage(true);
        assert_eq!(faults.take("GET", "/"), [FaultKind::DropBefore]);
        faults.lift_all();
        assert!(faults.take("GET", "/").is_empty());
    }
}
