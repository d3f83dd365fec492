//! Tickets that came to us by a commit, and what nobody waits for to be put down.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Sender, TICKETS, Turn};
use crate::store::{ClaimedTicket, Left, StoreError, Then};

/// So long a ticket waits for company at most, while another bundle is on its way.
const COMPANY: Duration = Duration::from_millis(50);

impl Sender {
    /// Tell the news of tickets that were taken in the commits that queued it, up to `at_once` bundles of them at a time.
    /// While one is under way the next ones gather, but not for long: one ticket may take its time, and no other waits for it.
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
            let next = gather(&mut taken, &mut bundle, &mut tellings, COMPANY);
            if stopping.run_until_cancelled(next).await != Some(true) {
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
        let closing = turn.closing(Then::Rest);
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
            Box::pin(self.tell_or_let_go(turn)).await
        };
        going_on.boxed()
    }
}

/// Fill `bundle` with what is in line, and where others are being told with what comes until the first of them are, up to
/// what fits and for no longer than `company`. `false`: nothing comes any more.
async fn gather<T>(
    line: &mut mpsc::Receiver<T>,
    bundle: &mut Vec<T>,
    under_way: &mut JoinSet<()>,
    company: Duration,
) -> bool {
    let most = usize::from(TICKETS);
    if line.recv_many(bundle, most).await == 0 {
        return false;
    }
    while under_way.try_join_next().is_some() {}
    let long_enough = tokio::time::sleep(company);
    tokio::pin!(long_enough);
    while bundle.len() < most && !under_way.is_empty() {
        let room = most - bundle.len();
        tokio::select! {
            came = line.recv_many(bundle, room) => if came == 0 { break },
            _ = under_way.join_next() => break,
            () = &mut long_enough => break,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn tickets_gather_while_others_are_told_and_go_when_those_are() {
        let (into, mut line) = mpsc::channel(64);
        let (mut bundle, mut under_way) = (vec![], JoinSet::new());
        into.send(1).await.unwrap();
        assert!(gather(&mut line, &mut bundle, &mut under_way, LONG).await);
        assert_eq!(bundle, [1], "nobody is being told: it waits for nothing");

        let (told, waiting) = oneshot::channel::<()>();
        under_way.spawn(async move { drop(waiting.await) });
        let feeding = async {
            for ticket in 2..=4 {
                into.send(ticket).await.unwrap();
                while into.capacity() < into.max_capacity() {
                    tokio::task::yield_now().await;
                }
            }
            told.send(()).unwrap();
        };
        let mut bundle = vec![];
        tokio::join!(feeding, gather(&mut line, &mut bundle, &mut under_way, LONG));
        assert_eq!(bundle, [2, 3, 4]);
    }

    #[tokio::test]
    async fn nobody_waits_long_for_a_telling_that_hangs_and_no_more_gather_than_fit() {
        let (into, mut line) = mpsc::channel(64);
        let mut under_way = JoinSet::new();
        under_way.spawn(std::future::pending());
        into.send(0).await.unwrap();
        let mut bundle = vec![];
        assert!(gather(&mut line, &mut bundle, &mut under_way, Duration::ZERO).await);
        assert_eq!(bundle, [0]);

        for ticket in 0..=usize::from(TICKETS) {
            into.send(ticket).await.unwrap();
        }
        let mut bundle = vec![];
        assert!(gather(&mut line, &mut bundle, &mut under_way, LONG).await);
        assert_eq!(bundle.len(), usize::from(TICKETS));
        drop(into);
        let mut bundle = vec![];
        assert!(
            gather(&mut line, &mut bundle, &mut under_way, LONG).await,
            "the one that is left"
        );
        assert_eq!(bundle.len(), 1);
        assert!(!gather(&mut line, &mut bundle, &mut under_way, LONG).await);
    }
}
