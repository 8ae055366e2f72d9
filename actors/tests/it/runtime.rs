//! Supervision and the handle's promises, shown on an actor made for it.

use crate::until;
use actix::{
    Actor, ActorFutureExt, Arbiter, AsyncContext, AtomicResponse, Context, Handler, Message,
    ResponseActFuture, WrapFuture,
};
use cdn_actors::runtime::{
    ActorConfig, Answer, CallError, Deferred, Handle, Permit, Revive, Ticker, deferred, restart_delay,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

const SOON: Duration = Duration::from_secs(5);

/// What outlives the probe.
#[derive(Default)]
struct World {
    starts: AtomicUsize,
    ends: AtomicUsize,
    handled: AtomicUsize,
    bad_starts: AtomicUsize,
    gate: Notify,
    /// While this is locked, an actor that dies stays in its last callback, its mailbox still open.
    slow_death: Mutex<()>,
}

struct Probe {
    world: Arc<World>,
    waiting: Vec<(Answer<Result<u32, String>>, Permit)>,
}

impl Actor for Probe {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.world.ends.fetch_add(1, Ordering::SeqCst);
        drop(self.world.slow_death.lock());
    }
}

#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct Echo(u32, #[expect(dead_code, reason = "held, not read")] Option<Permit>);

#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct Refuse(#[expect(dead_code, reason = "held, not read")] Permit);

#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct Poison(#[expect(dead_code, reason = "held, not read")] Permit);

#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct PoisonLater(Permit);

/// Panics in an actor's first life only.
#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct PoisonOnce(#[expect(dead_code, reason = "held, not read")] Permit);

/// Keeps the whole actor busy until the gate is notified, so that what comes later stays queued.
#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct Block(Option<Permit>);

#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct Keep(Permit);

/// How many kept answers are still wanted.
#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct CountWanted(#[expect(dead_code, reason = "held, not read")] Permit);

impl Handler<Echo> for Probe {
    type Result = Result<u32, String>;

    fn handle(&mut self, message: Echo, _: &mut Self::Context) -> Self::Result {
        self.world.handled.fetch_add(1, Ordering::SeqCst);
        Ok(message.0)
    }
}

impl Handler<Refuse> for Probe {
    type Result = Result<u32, String>;

    fn handle(&mut self, _: Refuse, _: &mut Self::Context) -> Self::Result {
        Err("no".to_owned())
    }
}

impl Handler<Poison> for Probe {
    type Result = Result<u32, String>;

    fn handle(&mut self, _: Poison, _: &mut Self::Context) -> Self::Result {
        panic!("poisoned")
    }
}

impl Handler<PoisonOnce> for Probe {
    type Result = Result<u32, String>;

    fn handle(&mut self, _: PoisonOnce, _: &mut Self::Context) -> Self::Result {
        assert!(self.world.starts.load(Ordering::SeqCst) > 1, "poisoned once");
        Ok(1)
    }
}

impl Handler<PoisonLater> for Probe {
    type Result = ResponseActFuture<Self, Result<u32, String>>;

    fn handle(&mut self, message: PoisonLater, ctx: &mut Self::Context) -> Self::Result {
        ctx.spawn(async { panic!("poisoned later") }.into_actor(self));
        Box::pin(
            async move {
                let _permit = message.0;
                std::future::pending().await
            }
            .into_actor(self),
        )
    }
}

impl Handler<Block> for Probe {
    type Result = AtomicResponse<Self, Result<u32, String>>;

    fn handle(&mut self, message: Block, _: &mut Self::Context) -> Self::Result {
        let world = Arc::clone(&self.world);
        let work = async move {
            world.gate.notified().await;
            drop(message.0);
        };
        AtomicResponse::new(Box::pin(work.into_actor(self).map(|(), _, _| Ok(0))))
    }
}

impl Handler<Keep> for Probe {
    type Result = Deferred<Result<u32, String>>;

    fn handle(&mut self, message: Keep, _: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.waiting.push((answer, message.0));
        promise
    }
}

impl Handler<CountWanted> for Probe {
    type Result = Result<u32, String>;

    fn handle(&mut self, _: CountWanted, _: &mut Self::Context) -> Self::Result {
        Ok(u32::try_from(self.waiting.iter().filter(|(answer, _)| !answer.is_abandoned()).count()).unwrap())
    }
}

fn probe_on(arbiter: actix::ArbiterHandle, revive: Revive, queue: usize) -> (Handle<Probe>, Arc<World>) {
    let world = Arc::new(World::default());
    let shared = Arc::clone(&world);
    let config = ActorConfig { name: "probe", queue, revive };
    let handle = Handle::start(config, arbiter, move || {
        let world = Arc::clone(&shared);
        world.starts.fetch_add(1, Ordering::SeqCst);
        Probe { world, waiting: Vec::new() }
    });
    (handle, world)
}

fn probe(queue: usize) -> (Handle<Probe>, Arc<World>) {
    probe_on(Arbiter::current(), Revive::OnCall, queue)
}

async fn echo(handle: &Handle<Probe>, value: u32) -> Result<u32, CallError<String>> {
    handle.ask(|permit| Echo(value, Some(permit)), SOON).await
}

/// Starts a call and comes back when it is queued.
async fn queued<M>(
    handle: &Handle<Probe>,
    message: impl FnOnce(Permit) -> M + 'static,
) -> tokio::task::JoinHandle<Result<u32, CallError<String>>>
where
    Probe: Handler<M>,
    M: Message<Result = Result<u32, String>> + Send + 'static,
{
    let before = handle.snapshot().queued;
    let caller = handle.clone();
    let task = actix::spawn(async move { caller.ask(message, SOON).await });
    until(|| handle.snapshot().queued > before).await;
    task
}

#[actix::test]
async fn an_answer_and_a_domain_error_come_back_typed() {
    let (handle, _) = probe(4);
    assert_eq!(echo(&handle, 7).await, Ok(7));
    let refused = handle.ask(Refuse, SOON).await;
    assert_eq!(refused, Err(CallError::Domain("no".to_owned())));
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.alive, snapshot.queued, snapshot.restarts), (true, 0, 0));
}

#[actix::test]
async fn a_poisoned_message_costs_its_caller_only_and_the_restart_is_counted() {
    let (handle, world) = probe(4);
    assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
    assert_eq!(handle.ask_idempotent(|permit| Echo(1, Some(permit)), SOON).await, Ok(1));
    assert_eq!(handle.snapshot().restarts, 1);
    assert_eq!(handle.snapshot().queued, 0, "a panic gives its place back");
    assert_eq!(world.starts.load(Ordering::SeqCst), 2);
}

#[actix::test]
async fn a_panic_in_a_spawned_future_ends_the_actor_too() {
    let (handle, _) = probe(4);
    assert_eq!(handle.ask(PoisonLater, SOON).await, Err(CallError::Restarted));
    assert_eq!(handle.ask_idempotent(|permit| Echo(1, Some(permit)), SOON).await, Ok(1));
    assert_eq!(handle.snapshot().restarts, 1);
}

#[actix::test]
async fn calls_queued_behind_a_poisoned_message_are_told_or_asked_again() {
    let (handle, world) = probe(8);
    let block = queued(&handle, |permit| Block(Some(permit))).await;
    let poison = queued(&handle, Poison).await;
    let once = queued(&handle, |permit| Echo(1, Some(permit))).await;
    let caller = handle.clone();
    let again =
        actix::spawn(async move { caller.ask_idempotent(|permit| Echo(2, Some(permit)), SOON).await });
    until(|| handle.snapshot().queued == 4).await;
    world.gate.notify_one();
    assert_eq!(block.await.unwrap(), Ok(0));
    assert_eq!(poison.await.unwrap(), Err(CallError::Restarted));
    assert_eq!(once.await.unwrap(), Err(CallError::Restarted));
    assert_eq!(again.await.unwrap(), Ok(2));
}

#[actix::test]
async fn an_idempotent_call_outlives_deaths_on_another_thread() {
    let arbiter = Arbiter::new();
    for _ in 0..100 {
        let (handle, _) = probe_on(arbiter.handle(), Revive::OnCall, 4);
        assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
        assert_eq!(handle.ask_idempotent(|permit| Echo(1, Some(permit)), SOON).await, Ok(1));
    }
    arbiter.stop();
}

#[actix::test]
#[expect(clippy::await_holding_lock, reason = "it holds up the actor's thread, not this one")]
async fn the_second_try_does_not_reach_the_actor_that_is_still_dying() {
    let arbiter = Arbiter::new();
    let (handle, world) = probe_on(arbiter.handle(), Revive::OnCall, 4);
    let dying = world.slow_death.lock().unwrap();
    let caller = handle.clone();
    let call = actix::spawn(async move { caller.ask_idempotent(PoisonOnce, SOON).await });
    until(|| world.ends.load(Ordering::SeqCst) == 1).await;
    // The caller has its dropped reply by now; give it every chance to ask too early.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    drop(dying);
    assert_eq!(call.await.unwrap(), Ok(1));
    arbiter.stop();
}

#[actix::test]
async fn a_full_queue_is_busy_at_once() {
    let (handle, world) = probe(2);
    let block = queued(&handle, |permit| Block(Some(permit))).await;
    let second = queued(&handle, |permit| Echo(2, Some(permit))).await;
    assert_eq!(echo(&handle, 3).await, Err(CallError::Busy));
    assert_eq!(handle.snapshot().refused, 1);
    world.gate.notify_one();
    assert_eq!(block.await.unwrap(), Ok(0));
    assert_eq!(second.await.unwrap(), Ok(2));
    assert_eq!(echo(&handle, 4).await, Ok(4));
}

#[actix::test]
async fn a_deadline_frees_the_caller_but_not_the_place_in_the_queue() {
    tokio::time::pause();
    let (handle, world) = probe(1);
    let late = handle.ask(|permit| Block(Some(permit)), Duration::from_millis(200)).await;
    assert_eq!(late, Err(CallError::Deadline));
    assert_eq!(handle.snapshot().late, 1);
    assert_eq!(echo(&handle, 1).await, Err(CallError::Busy), "the actor has it in hand still");
    world.gate.notify_one();
    until(|| handle.snapshot().queued == 0).await;
    assert_eq!(echo(&handle, 1).await, Ok(1));
}

#[actix::test]
async fn a_queued_message_is_cancelled_when_its_caller_goes_away() {
    let (handle, world) = probe(4);
    let block = queued(&handle, |permit| Block(Some(permit))).await;
    let gone = queued(&handle, |permit| Echo(1, Some(permit))).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    world.gate.notify_one();
    block.await.unwrap().unwrap();
    until(|| handle.snapshot().queued == 0).await;
    assert_eq!(world.handled.load(Ordering::SeqCst), 0);
}

#[actix::test]
async fn what_is_told_is_never_cancelled() {
    let (handle, world) = probe(4);
    let block = queued(&handle, |permit| Block(Some(permit))).await;
    assert!(handle.tell(Echo(1, None)));
    world.gate.notify_one();
    block.await.unwrap().unwrap();
    until(|| world.handled.load(Ordering::SeqCst) == 1).await;
}

#[actix::test]
async fn a_deferred_answer_knows_when_nobody_waits_for_it() {
    let (handle, _) = probe(4);
    let stays = queued(&handle, Keep).await;
    let goes = queued(&handle, Keep).await;
    assert_eq!(handle.ask(CountWanted, SOON).await, Ok(2));
    goes.abort();
    assert!(goes.await.is_err());
    assert_eq!(handle.ask(CountWanted, SOON).await, Ok(1));
    assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
    assert_eq!(stays.await.unwrap(), Err(CallError::Restarted), "an answer that dies tells its caller");
}

#[test]
fn restarts_are_immediate_first_then_doubling_and_never_rarer_than_every_five_seconds() {
    let millis: Vec<_> = (0..10).map(|deaths| restart_delay(deaths).as_millis()).collect();
    assert_eq!(millis, [0, 50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert_eq!(restart_delay(u32::MAX), Duration::from_secs(5));
}

#[actix::test]
async fn during_the_backoff_calls_are_refused_at_once_and_idempotent_ones_wait_it_out() {
    tokio::time::pause();
    let (handle, world) = probe(4);
    assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
    until(|| !handle.snapshot().alive).await;
    assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
    until(|| !handle.snapshot().alive).await;
    let before = tokio::time::Instant::now();
    assert_eq!(echo(&handle, 1).await, Err(CallError::Restarted));
    assert!(!handle.tell(Echo(1, None)));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(world.starts.load(Ordering::SeqCst), 2);
    assert_eq!(handle.ask_idempotent(|permit| Echo(1, Some(permit)), SOON).await, Ok(1));
    assert!(before.elapsed() >= Duration::from_millis(50));
    assert_eq!(handle.snapshot().restarts, 2);
}

#[actix::test]
async fn an_actor_that_lived_long_is_started_again_at_once() {
    tokio::time::pause();
    let (handle, _) = probe(4);
    for _ in 0..3 {
        assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
        until(|| !handle.snapshot().alive).await;
        assert_eq!(handle.ask_idempotent(|permit| Echo(1, Some(permit)), SOON).await, Ok(1));
        tokio::time::advance(Duration::from_secs(61)).await;
    }
    assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
    until(|| !handle.snapshot().alive).await;
    assert_eq!(echo(&handle, 1).await, Ok(1));
}

#[actix::test]
async fn an_actor_with_work_of_its_own_comes_back_without_a_call() {
    let (handle, world) = probe_on(Arbiter::current(), Revive::AtOnce, 4);
    assert_eq!(handle.ask(Poison, SOON).await, Err(CallError::Restarted));
    until(|| world.starts.load(Ordering::SeqCst) == 2).await;
    until(|| handle.snapshot().alive).await;
}

#[actix::test]
async fn a_factory_that_panics_is_tried_again() {
    tokio::time::pause();
    let world = Arc::new(World::default());
    world.bad_starts.store(2, Ordering::SeqCst);
    let shared = Arc::clone(&world);
    let config = ActorConfig { name: "probe", queue: 4, revive: Revive::AtOnce };
    let handle = Handle::start(config, Arbiter::current(), move || {
        shared.starts.fetch_add(1, Ordering::SeqCst);
        let bad = shared.bad_starts.load(Ordering::SeqCst);
        shared.bad_starts.store(bad.saturating_sub(1), Ordering::SeqCst);
        assert_eq!(bad, 0, "can't start");
        Probe { world: Arc::clone(&shared), waiting: Vec::new() }
    });
    tokio::time::sleep(Duration::from_secs(1)).await; // Paused: takes no time.
    assert_eq!(echo(&handle, 1).await, Ok(1));
    assert_eq!(world.starts.load(Ordering::SeqCst), 3);
}

#[actix::test]
async fn an_actor_on_a_dead_arbiter_is_an_error_and_no_hang() {
    let arbiter = Arbiter::new();
    let (handle, _) = probe_on(arbiter.handle(), Revive::AtOnce, 4);
    assert_eq!(echo(&handle, 1).await, Ok(1));
    arbiter.stop();
    arbiter.join().unwrap();
    assert_eq!(echo(&handle, 1).await, Err(CallError::Restarted));
    assert!(!handle.snapshot().alive);
}

#[actix::test]
async fn stopping_lets_calls_in_hand_finish_and_refuses_new_ones() {
    let (handle, world) = probe(4);
    let block = queued(&handle, |permit| Block(Some(permit))).await;
    let stopper = handle.clone();
    let (sent, stopping) = oneshot::channel::<()>();
    let stop = actix::spawn(async move {
        drop(sent);
        stopper.stop(SOON).await
    });
    assert!(stopping.await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(echo(&handle, 1).await, Err(CallError::Stopped));
    world.gate.notify_one();
    assert_eq!(block.await.unwrap(), Ok(0));
    assert!(stop.await.unwrap());
    assert_eq!(world.ends.load(Ordering::SeqCst), 1);
    assert_eq!(echo(&handle, 1).await, Err(CallError::Stopped));
    assert_eq!(handle.snapshot().restarts, 0);
}

#[actix::test]
async fn stopping_gives_up_after_the_grace_time() {
    tokio::time::pause();
    let (handle, _) = probe(4);
    let _block = queued(&handle, |permit| Block(Some(permit))).await;
    assert!(!handle.stop(Duration::from_millis(100)).await);
}

#[actix::test]
async fn an_actor_ends_with_its_last_handle() {
    let (handle, world) = probe(4);
    assert_eq!(echo(&handle, 1).await, Ok(1));
    drop(handle);
    until(|| world.ends.load(Ordering::SeqCst) == 1).await;
    assert_eq!(world.starts.load(Ordering::SeqCst), 1);
}

#[actix::test]
async fn a_tick_by_hand_is_over_when_its_work_is() {
    let (mut ticker, hand) = Ticker::by_hand();
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    actix::spawn(async move {
        while let Some(_tick) = ticker.next().await {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    hand.tick().await;
    hand.tick().await;
    assert_eq!(done.load(Ordering::SeqCst), 2);
}

#[actix::test]
async fn a_periodic_ticker_leaves_out_what_it_missed() {
    tokio::time::pause();
    let mut ticker = Ticker::now_and_every(Duration::from_secs(10));
    let start = tokio::time::Instant::now();
    drop(ticker.next().await);
    assert_eq!(start.elapsed().as_secs(), 0);
    tokio::time::advance(Duration::from_secs(35)).await;
    drop(ticker.next().await);
    assert_eq!(start.elapsed().as_secs(), 35);
    drop(ticker.next().await);
    assert_eq!(start.elapsed().as_secs(), 45);
}
