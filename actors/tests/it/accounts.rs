//! Reservations, usage and activity.

use crate::{morning, until};
use cdn_actors::{
    accounts::{Accounts, AccountsConfig, QuotaError, Reservation},
    domain::{
        clock::ManualClock,
        ids::{FileId, UserId},
        quota::Usage,
    },
    fakes::{MemoryJournal, MemoryLedger},
    ports::{AccessEvent, AccessKind, PortError},
    runtime::{CallError, Ticker, TickerHand},
};
use chrono::TimeDelta;
use std::sync::Arc;
use tokio::task::JoinHandle;

const ANN: UserId = UserId(1);
const BOB: UserId = UserId(2);

struct World {
    ledger: MemoryLedger,
    journal: MemoryJournal,
    clock: Arc<ManualClock>,
    hand: TickerHand,
    accounts: Accounts,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut AccountsConfig)) -> Self {
        let mut config = AccountsConfig { arbiters: 0, ..AccountsConfig::default() };
        change(&mut config);
        let (ledger, journal) = (MemoryLedger::default(), MemoryJournal::default());
        ledger.add_user(ANN, 100);
        ledger.add_user(BOB, 100);
        let clock = Arc::new(ManualClock::at(morning()));
        let (ticker, hand) = Ticker::by_hand();
        let accounts = Accounts::start_ticked(
            Arc::new(ledger.clone()),
            Arc::new(journal.clone()),
            clock.clone(),
            config,
            ticker,
        );
        Self { ledger, journal, clock, hand, accounts }
    }

    fn reserved(&self) -> u64 {
        self.ledger.peek(ANN).unwrap().reserved
    }

    fn calls(&self, operation: &'static str) -> usize {
        self.ledger.controls().calls(operation)
    }

    /// Starts a call and comes back when it is queued.
    async fn asking(&self, bytes: u64) -> JoinHandle<Result<Reservation, CallError<QuotaError>>> {
        let before = self.accounts.snapshot().queued;
        let accounts = self.accounts.clone();
        let task = actix::spawn(async move { accounts.reserve(ANN, bytes).await });
        until(|| self.accounts.snapshot().queued > before).await;
        task
    }
}

fn away() -> PortError {
    PortError::Unavailable("away".to_owned())
}

fn view(response_ms: u32) -> AccessEvent {
    AccessEvent {
        owner: ANN,
        file: FileId::new(),
        kind: AccessKind::View,
        accessor: None,
        at: morning(),
        response_ms,
        referrer_domain: String::new(),
        ip_address: None,
        user_agent: String::new(),
        country_code: String::new(),
    }
}

#[actix::test]
async fn of_eight_uploads_at_once_exactly_the_three_that_fit_are_admitted_in_few_calls() {
    let world = World::new();
    world.ledger.controls().close("reserve");
    let mut tasks = Vec::new();
    for _ in 0..8 {
        tasks.push(world.asking(30).await);
    }
    world.ledger.controls().open("reserve");
    let mut granted = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(reservation) => granted.push(reservation),
            Err(error) => {
                let usage = Usage { used: 0, reserved: 90, limit: 100, tier: "free".to_owned() };
                assert_eq!(error, CallError::Domain(QuotaError::Exceeded(usage)));
            }
        }
    }
    assert_eq!(granted.len(), 3);
    assert_eq!(world.reserved(), 90);
    assert_eq!(world.calls("reserve"), 2, "the first alone, the seven that came meanwhile together");
}

#[actix::test]
async fn the_same_holds_with_actors_on_threads_of_their_own() {
    let world = World::with(|config| config.arbiters = 2);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let accounts = world.accounts.clone();
            actix::spawn(async move { accounts.reserve(ANN, 30).await })
        })
        .collect();
    let mut granted = Vec::new();
    for task in tasks {
        granted.extend(task.await.unwrap());
    }
    assert_eq!(granted.len(), 3);
    drop(granted);
    world.accounts.flush_all().await.unwrap();
    assert_eq!(world.reserved(), 0);
}

#[actix::test]
async fn a_dropped_reservation_is_given_back() {
    let world = World::new();
    let reservation = world.accounts.reserve(ANN, 60).await.unwrap();
    assert_eq!((reservation.user(), reservation.bytes(), world.reserved()), (ANN, 60, 60));
    drop(reservation);
    until(|| world.reserved() == 0).await;
    assert!(world.accounts.reserve(ANN, 100).await.is_ok());
}

#[actix::test]
async fn a_committed_reservation_is_not_given_back() {
    let world = World::new();
    let reservation = world.accounts.reserve(ANN, 60).await.unwrap();
    world.ledger.commit(ANN, reservation.id());
    reservation.committed();
    world.accounts.flush_all().await.unwrap();
    assert_eq!(world.calls("release"), 0);
    assert_eq!(world.accounts.usage(ANN).await.unwrap().used, 60);
}

#[actix::test]
async fn many_reservations_dropped_at_once_are_given_back_together() {
    let world = World::new();
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(world.accounts.reserve(ANN, 10).await.unwrap());
    }
    drop(held);
    world.accounts.flush_all().await.unwrap();
    assert_eq!(world.reserved(), 0);
    assert_eq!(world.calls("release"), 1);
}

#[actix::test]
async fn a_reservation_grows_under_its_id_as_far_as_the_quota_goes() {
    let world = World::new();
    let mut reservation = world.accounts.reserve(ANN, 60).await.unwrap();
    reservation.grow(30).await.unwrap();
    assert_eq!((reservation.bytes(), world.reserved()), (90, 90));
    let refused = reservation.grow(20).await.unwrap_err();
    assert!(matches!(refused, CallError::Domain(QuotaError::Exceeded(usage)) if usage.reserved == 90));
    assert_eq!(reservation.bytes(), 90);
    drop(reservation);
    until(|| world.reserved() == 0).await;
}

#[actix::test]
async fn an_unknown_user_is_told_apart() {
    let world = World::new();
    let nobody = UserId(99);
    let reserved = world.accounts.reserve(nobody, 1).await.unwrap_err();
    assert_eq!(reserved, CallError::Domain(QuotaError::UnknownUser));
    let usage = world.accounts.usage(nobody).await.unwrap_err();
    assert_eq!(usage, CallError::Domain(QuotaError::UnknownUser));
}

#[actix::test]
async fn a_caller_that_leaves_while_the_ledger_works_leaks_nothing() {
    let world = World::new();
    world.ledger.controls().close("reserve");
    let caller = world.asking(60).await;
    world.ledger.controls().held("reserve").await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    world.ledger.controls().open("reserve");
    world.accounts.flush_all().await.unwrap();
    assert_eq!(world.calls("reserve"), 1, "the ledger did grant it");
    assert_eq!(world.reserved(), 0);
}

#[actix::test]
async fn a_caller_that_leaves_while_queued_is_never_asked_for() {
    let world = World::new();
    world.ledger.controls().close("reserve");
    let first = world.asking(60).await;
    world.ledger.controls().held("reserve").await;
    let second = world.asking(30).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    world.ledger.controls().open("reserve");
    let first = first.await.unwrap().unwrap();
    world.accounts.flush_all().await.unwrap();
    assert_eq!((world.calls("reserve"), world.reserved()), (1, 60));
    drop(first);
}

#[actix::test]
async fn a_deadline_leaks_nothing_either() {
    tokio::time::pause();
    let world = World::new();
    world.ledger.controls().close("reserve");
    let late = world.accounts.reserve(ANN, 60).await.unwrap_err();
    assert!(matches!(late, CallError::Deadline | CallError::Domain(QuotaError::Unavailable(_))));
    world.ledger.controls().open("reserve");
    world.accounts.flush_all().await.unwrap();
    assert_eq!(world.reserved(), 0);
    assert!(world.accounts.reserve(ANN, 100).await.is_ok());
}

#[actix::test]
async fn a_full_queue_is_busy() {
    let world = World::with(|config| config.queue = 2);
    world.ledger.controls().close("reserve");
    let first = world.asking(10).await;
    let second = world.asking(10).await;
    assert_eq!(world.accounts.reserve(ANN, 10).await.unwrap_err(), CallError::Busy);
    assert!(world.accounts.usage(BOB).await.is_ok(), "another user is not concerned");
    assert_eq!(world.accounts.snapshot().refused, 1);
    world.ledger.controls().open("reserve");
    assert!(first.await.unwrap().is_ok());
    assert!(second.await.unwrap().is_ok());
}

#[actix::test]
async fn a_ledger_that_is_away_is_an_error_and_heals() {
    let world = World::new();
    world.ledger.controls().fail("reserve", away());
    world.ledger.controls().fail("usage", PortError::Failed("broken".to_owned()));
    let refused = world.accounts.reserve(ANN, 10).await.unwrap_err();
    assert_eq!(refused, CallError::Domain(QuotaError::Unavailable("away".to_owned())));
    let refused = world.accounts.usage(ANN).await.unwrap_err();
    assert_eq!(refused, CallError::Domain(QuotaError::Failed("broken".to_owned())));
    world.ledger.controls().heal();
    assert!(world.accounts.reserve(ANN, 10).await.is_ok());
    assert_eq!(world.accounts.snapshot().restarts, 0);
}

#[actix::test]
async fn what_could_not_be_given_back_is_given_back_by_a_later_tick() {
    let world = World::new();
    let reservation = world.accounts.reserve(ANN, 60).await.unwrap();
    world.ledger.controls().fail("release", away());
    drop(reservation);
    assert_eq!(world.accounts.flush_all().await, Err(CallError::Domain(away())));
    assert_eq!((world.reserved(), world.accounts.snapshot().unreleased), (60, 1));
    let tried = world.calls("release");
    world.ledger.controls().heal();
    world.hand.tick().await;
    until(|| world.accounts.snapshot().unreleased == 0).await;
    assert_eq!(world.reserved(), 0);
    assert!(tried <= 2, "a failure is repeated by ticks, not in a loop");
}

#[actix::test]
async fn a_poisoned_actor_is_replaced_and_the_reservation_it_had_made_is_given_back() {
    let world = World::new();
    let kept = world.accounts.reserve(ANN, 10).await.unwrap();
    world.ledger.controls().panic_once("reserve");
    let second = world.accounts.reserve(ANN, 20).await.expect("asked again after the restart");
    world.accounts.flush_all().await.unwrap();
    assert_eq!(world.accounts.snapshot().restarts, 1);
    assert_eq!(world.reserved(), 30);
    drop((kept, second));
    world.accounts.flush_all().await.unwrap();
    assert_eq!(world.reserved(), 0);
}

#[actix::test]
async fn a_panic_while_giving_back_forgets_nothing() {
    let world = World::new();
    let reservation = world.accounts.reserve(ANN, 60).await.unwrap();
    world.ledger.controls().panic_once("release");
    drop(reservation);
    until(|| world.calls("release") == 1).await;
    world.accounts.flush_all().await.unwrap();
    assert_eq!((world.reserved(), world.accounts.snapshot().unreleased), (0, 0));
}

#[actix::test]
async fn an_idle_actor_ends_and_the_next_call_starts_one_anew() {
    let world = World::new();
    let held = world.accounts.reserve(ANN, 10).await.unwrap();
    world.accounts.usage(BOB).await.unwrap();
    assert_eq!(world.accounts.snapshot().live, 2);
    world.hand.tick().await;
    assert_eq!(world.accounts.snapshot().live, 2, "not idle for long enough");
    world.clock.advance(TimeDelta::minutes(6));
    world.hand.tick().await;
    assert_eq!(world.accounts.snapshot().live, 1, "an open reservation keeps its actor");
    drop(held);
    world.accounts.flush_all().await.unwrap();
    world.hand.tick().await;
    assert_eq!(world.accounts.snapshot().live, 0);
    assert_eq!(world.accounts.usage(ANN).await.unwrap().reserved, 0);
    assert_eq!((world.accounts.snapshot().live, world.accounts.snapshot().restarts), (1, 0));
}

#[actix::test]
async fn activity_is_written_by_the_next_tick_in_order() {
    let world = World::new();
    for response_ms in 0..3 {
        world.accounts.record(view(response_ms));
    }
    assert_eq!((world.accounts.snapshot().buffered, world.journal.written().len()), (3, 0));
    world.hand.tick().await;
    let order: Vec<_> = world.journal.written().iter().map(|event| event.response_ms).collect();
    assert_eq!(order, [0, 1, 2]);
    assert_eq!(world.journal.controls().calls("append"), 1);
    assert_eq!(world.accounts.snapshot().buffered, 0);
}

#[actix::test]
async fn a_full_batch_is_written_without_a_tick() {
    let world = World::new();
    for response_ms in 0..500 {
        world.accounts.record(view(response_ms));
    }
    until(|| world.journal.written().len() == 500).await;
}

#[actix::test]
async fn activity_beyond_the_bound_is_dropped_and_counted() {
    let world = World::with(|config| config.max_buffered = 2);
    for response_ms in 0..5 {
        world.accounts.record(view(response_ms));
    }
    let snapshot = world.accounts.snapshot();
    assert_eq!((snapshot.buffered, snapshot.dropped), (2, 3));
    world.hand.tick().await;
    assert_eq!(world.journal.written().len(), 2);
}

#[actix::test]
async fn activity_survives_a_journal_that_fails_or_panics() {
    let world = World::new();
    world.accounts.record(view(1));
    world.journal.controls().fail("append", away());
    world.hand.tick().await;
    let snapshot = world.accounts.snapshot();
    assert_eq!((snapshot.buffered, snapshot.failed_flushes), (1, 1));
    world.journal.controls().heal();
    world.journal.controls().panic_once("append");
    world.hand.tick().await;
    world.hand.tick().await;
    assert_eq!(world.journal.written().len(), 1);
    assert_eq!(world.accounts.snapshot().journal.restarts, 1);
}

#[actix::test]
async fn shutting_down_writes_everything_and_refuses_new_calls() {
    let world = World::new();
    let reservation = world.accounts.reserve(ANN, 60).await.unwrap();
    world.accounts.record(view(1));
    drop(reservation);
    world.accounts.shutdown().await.unwrap();
    assert_eq!((world.reserved(), world.journal.written().len()), (0, 1));
    assert_eq!(world.accounts.reserve(ANN, 1).await.unwrap_err(), CallError::Stopped);
    assert_eq!(world.accounts.snapshot().live, 0);
    world.accounts.shutdown().await.unwrap();
}

#[actix::test]
async fn shutting_down_lets_a_call_in_hand_finish() {
    let world = World::new();
    world.ledger.controls().close("reserve");
    let caller = world.asking(60).await;
    world.ledger.controls().held("reserve").await;
    let accounts = world.accounts.clone();
    let shutdown = actix::spawn(async move { accounts.shutdown().await });
    tokio::task::yield_now().await;
    world.ledger.controls().open("reserve");
    assert!(caller.await.unwrap().is_ok());
    shutdown.await.unwrap().unwrap();
}
