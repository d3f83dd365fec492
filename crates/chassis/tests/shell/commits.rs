//! Group commit on a real Postgres, behind a wire that goes dead.

use std::sync::Arc;
use std::time::Duration;

use chassis::Sessions;
use chassis::group_commit::{Failure, Ledger, Line, refused};
use launcher::testing::{Wire, until};

use crate::sessions::Ground;

/// Long enough for a connection to be made on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);
/// With this number in hand, the wire goes dead.
const LAST: i32 = 13;

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("unclear")]
    Unclear,
    #[error("stopped")]
    Stopped,
}

impl Failure for Fault {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(error) if refused(error))
    }

    fn unclear() -> Self {
        Self::Unclear
    }

    fn stopped() -> Self {
        Self::Stopped
    }
}

#[derive(Clone)]
struct Numbers {
    sessions: Sessions,
    wire: Arc<Wire>,
}

impl Ledger for Numbers {
    type Entry = i32;
    type Found = ();
    type Error = Fault;

    async fn commit(&self, entries: &[i32]) -> Result<Vec<()>, Fault> {
        let mut session = self.sessions.acquire().await?;
        if entries.contains(&LAST) {
            self.wire.freeze();
        }
        let written = sqlx::query("INSERT INTO numbers SELECT UNNEST($1::int[])")
            .bind(entries)
            .execute(&mut *session)
            .await;
        written?;
        session.give_back();
        Ok(entries.iter().map(|_| ()).collect())
    }
}

#[tokio::test]
async fn a_commit_over_a_dead_session_is_given_up_and_the_session_with_it() {
    let ground = Ground::lay().await;
    let numbers = Numbers {
        sessions: ground.shell.pool().clone(),
        wire: Arc::clone(&ground.wire),
    };
    let line = Line::limited(&numbers, LIMIT);
    line.commit(1).await.unwrap();
    let given_up = line.commit(LAST).await;
    assert!(matches!(given_up, Err(Fault::Unclear)), "{given_up:?}");
    line.commit(2).await.unwrap();
    let sessions = ground.shell.pool();
    until("the dead session takes no place any more", async || {
        sessions.size() == sessions.idle()
    })
    .await;
    line.commit(3).await.unwrap();
}
