//! `firstline ticket`: a person of the simulated company writes to the help desk, and people ask why a ticket was decided
//! as it was, and say whether that was right.

mod explain;

use serde::Deserialize;
use serde_json::json;

use crate::arguments::{Home, Ticket};
use crate::connect::script;
use crate::exit::{BadInput, Ending};
use crate::gate::report;
use crate::run_file::RunFile;
use crate::terminal;

#[derive(Deserialize)]
struct Filed {
    id: i64,
}

pub(crate) async fn run(command: &Ticket) -> anyhow::Result<Ending> {
    match command {
        Ticket::New {
            from,
            summary,
            details,
            home,
        } => new(from, summary, details, home).await,
        Ticket::Explain { id, json, fleet } => explain::run(id, *json, fleet).await,
        Ticket::Review(review) => report::review(review).await,
    }
}

async fn new(from: &str, summary: &str, details: &str, home: &Home) -> anyhow::Result<Ending> {
    if !is_address(from) {
        return Err(BadInput(format!("`{from}` is no e-mail address")).into());
    }
    if summary.trim().is_empty() {
        return Err(BadInput("the text of the ticket is empty".to_owned()).into());
    }
    let run = RunFile::read(&home.data)?;
    let body = json!({"from": from, "summary": summary, "details": details});
    let Filed { id } = script(&run.simulators.halo, "tickets", &body).await?;
    terminal::line(&format!("ticket {id} is filed"));
    terminal::line(&format!("see what becomes of it: firstline execution show {id}"));
    terminal::line(&format!("see why: firstline ticket explain {id}"));
    Ok(Ending::Well)
}

/// `name@domain.tld`, as far as a slip of the finger goes; the help desk decides whether it knows the person.
fn is_address(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else {
        return false;
    };
    let mut labels = domain.split('.');
    !name.is_empty()
        && domain.contains('.')
        && labels.all(|label| !label.is_empty())
        && !text.contains(|sign: char| sign.is_whitespace() || sign.is_control())
        && !domain.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_name_and_a_domain() {
        assert!(is_address("adele@contoso.example"));
        for slip in [
            "",
            "adele",
            "adele@",
            "@contoso.example",
            "adele@contoso",
            "a b@contoso.example",
            "a@b@c.d",
            "a@.d",
        ] {
            assert!(!is_address(slip), "{slip}");
        }
    }
}
