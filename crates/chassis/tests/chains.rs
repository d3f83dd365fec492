//! What comes together is linked chain by chain, each to its own end, on a real database.

use std::collections::BTreeMap;

use chassis::audit::{AuditEvent, AuditLog};
use common::{ExecutionId, Service};
use serde_json::json;
use trust::audit::Hash;
use uuid::Uuid;

/// Execution, place, which one of the test's, digest, link.
type EventRow = (Option<Uuid>, i64, i64, Vec<u8>, Vec<u8>);
/// Chain, length, link, the link before what came last, the digests of that.
type HeadRow = (Uuid, i64, Vec<u8>, Vec<u8>, Vec<Vec<u8>>);

#[tokio::test]
async fn chains_that_grow_together_are_linked_each_to_its_own_end() {
    let database = launcher::testing::database().await;
    let pool = database.pool(Service::Delivery).await;
    let log = AuditLog::new(Service::Delivery, "default".parse().unwrap());
    let [a, b, c] = [(); 3].map(|()| Some(ExecutionId::fresh()));
    // One chain that begins, some that begin beside it, all of them, one alone that goes on.
    let rounds = [
        vec![a],
        vec![c, None, a, a, b],
        vec![None, b, c, a, b, None],
        vec![a, a, a],
    ];
    let mut expected: BTreeMap<Uuid, Vec<u64>> = BTreeMap::new();
    let mut nth = 0;
    for chains in rounds {
        let mut events = vec![];
        for chain in chains {
            nth += 1;
            let event = AuditEvent::new("test.happened", json!({"nth": nth}));
            events.push(chain.map_or(event.clone(), |execution| event.execution(execution)));
            expected.entry(name(chain)).or_default().push(nth);
        }
        let mut transaction = pool.begin().await.unwrap();
        log.record_all(&mut transaction, &events).await.unwrap();
        transaction.commit().await.unwrap();
    }

    let owner = database.owner().await;
    let events: Vec<EventRow> = sqlx::query_as(
        "SELECT execution_id, seq, (detail->>'nth')::bigint, digest, link FROM audit_events ORDER BY execution_id, seq",
    )
    .fetch_all(&owner)
    .await
    .unwrap();
    let mut chains: BTreeMap<Uuid, (Vec<u64>, Hash)> = BTreeMap::new();
    for (execution, seq, nth, digest, link) in events {
        let chain = chains
            .entry(name(execution.map(ExecutionId)))
            .or_insert((vec![], Hash::NONE));
        chain.0.push(u64::try_from(nth).unwrap());
        assert_eq!(usize::try_from(seq).unwrap(), chain.0.len(), "its place");
        chain.1 = chain.1.then(Hash::from_bytes(&digest).unwrap());
        assert_eq!(Hash::from_bytes(&link), Some(chain.1), "event {nth}");
    }
    let found: BTreeMap<Uuid, Vec<u64>> = chains
        .iter()
        .map(|(name, (events, _))| (*name, events.clone()))
        .collect();
    assert_eq!(found, expected);

    let heads: Vec<HeadRow> =
        sqlx::query_as("SELECT chain, seq, link, before, fresh FROM audit_heads WHERE service = 'delivery'")
            .fetch_all(&owner)
            .await
            .unwrap();
    assert_eq!(heads.len(), chains.len());
    for (name, seq, link, before, fresh) in heads {
        let (events, end) = &chains[&name];
        assert_eq!(usize::try_from(seq).unwrap(), events.len());
        assert_eq!(Hash::from_bytes(&link), Some(*end));
        let before = Hash::from_bytes(&before).unwrap();
        let again = fresh.iter().fold(before, |link, digest| {
            link.then(Hash::from_bytes(digest).unwrap())
        });
        assert_eq!(
            again, *end,
            "what came last leads from the place before to the end"
        );
    }
}

/// What belongs to no execution is one chain, under an execution of zeros.
fn name(chain: Option<ExecutionId>) -> Uuid {
    chain.map_or(Uuid::nil(), |execution| execution.0)
}
