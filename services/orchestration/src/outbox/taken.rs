//! Tickets that came to us by a commit, and what nobody waits for to be put down.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Sender, TICKETS, Turn, closing};
use crate::store::{ClaimedTicket, Left, StoreError, Then};

impl Sender {
    /// Tell the news of tickets that were taken in the commits that queued it, up to `at_once` bundles of them at a time.
    /// From `stopping` on nobody takes any; those in line then are let go.
    pub(crate) async fn tell_taken(
        self: Arc<Self>,
        mut taken: mpsc::Receiver<ClaimedTicket>,
        at_once: usize,
        stopping: CancellationToken,
    ) {
        let mut tellings = JoinSet::new();
        let mut bundle = Vec::new();
        loop {
            let next = taken.recv_many(&mut bundle, usize::from(TICKETS));
            if stopping
                .run_until_cancelled(next)
                .await
                .is_none_or(|count| count == 0)
            {
                break;
            }
            if tellings.len() >= at_once {
                let _ = tellings.join_next().await;
            }
            let (sender, bundle) = (Arc::clone(&self), std::mem::take(&mut bundle));
            let telling = async move {
                if let Err(error) = sender.tell_all(bundle).await {
                    tracing::warn!(error = %chassis::chain(&error), "tickets were not told everything; they are found again");
                }
            };
            tellings.spawn(chassis::request_id::scope_fresh(telling));
            while tellings.try_join_next().is_some() {}
        }
        taken.close();
        while let Some(claimed) = taken.recv().await {
            bundle.push(claimed);
        }
        join_all(
            bundle
                .into_iter()
                .map(|claimed| self.let_go(Turn::new(claimed), Duration::ZERO, false)),
        )
        .await;
        while tellings.join_next().await.is_some() {}
        self.later.close();
        self.later.wait().await;
    }

    /// Nobody waits for it to be put down, and the next tickets do not either. Where it cannot be, the lease runs out.
    pub(super) fn put_down_later(self: &Arc<Self>, mut turn: Turn) {
        let sender = Arc::clone(self);
        let closing = closing(&mut turn, Then::Rest);
        let putting_down = async move {
            let left = sender.closer.close_later(closing).await;
            let gone_on = match left {
                Ok(Left::Gone) => Ok(()),
                Ok(Left::Kept(enqueued)) => {
                    turn.claimed.enqueued = enqueued;
                    sender.go_on(turn).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = gone_on {
                tracing::warn!(error = %chassis::chain(&error), "a ticket was told, and that was not put down; what stands there is looked for");
            }
        };
        self.later.spawn(putting_down.in_current_span());
    }

    /// More came for a ticket that is still ours.
    fn go_on(self: Arc<Self>, mut turn: Turn) -> BoxFuture<'static, Result<(), StoreError>> {
        let going_on = async move {
            self.look_up(vec![&mut turn]).await?;
            self.tell_or_let_go(turn).await
        };
        going_on.boxed()
    }
}
