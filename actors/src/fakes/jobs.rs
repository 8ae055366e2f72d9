//! Thumbnail jobs in memory, and a runner that does what a test says.

use super::Controls;
use crate::{
    domain::ids::{JobId, LeaseId},
    ports::{JobEnd, JobLease, JobOutcome, JobRunner, JobStore, OpenJobs, PortFuture},
    runtime::lock,
};
use chrono::{DateTime, Utc};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex},
};

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    Pending { due_at: DateTime<Utc> },
    Leased { lease: LeaseId, expires_at: DateTime<Utc> },
    Completed,
    Failed { message: String },
}

struct Job {
    priority: u32,
    attempts: u32,
    stage: Stage,
    /// How often a result of it was recorded.
    results: u32,
}

#[derive(Default)]
struct Inner {
    controls: Controls,
    jobs: Mutex<BTreeMap<JobId, Job>>,
    /// In the order they were begun.
    runs: Mutex<Vec<JobId>>,
    script: Mutex<HashMap<JobId, VecDeque<JobOutcome>>>,
}

/// Clones share the same jobs. It is the store and the runner in one.
#[derive(Clone, Default)]
pub struct MemoryJobs(Arc<Inner>);

/// Attempts of every job.
const MAX_ATTEMPTS: u32 = 3;

impl MemoryJobs {
    /// Operations are the methods of [`JobStore`] and [`JobRunner`].
    pub fn controls(&self) -> &Controls {
        &self.0.controls
    }

    pub fn add(&self, priority: u32, due_at: DateTime<Utc>) -> JobId {
        let id = JobId::new();
        let job = Job { priority, attempts: 0, stage: Stage::Pending { due_at }, results: 0 };
        lock(&self.0.jobs).insert(id, job);
        id
    }

    /// What comes of the next runs of a job, one after the other; then it completes.
    pub fn script(&self, job: JobId, outcomes: impl IntoIterator<Item = JobOutcome>) {
        lock(&self.0.script).entry(job).or_default().extend(outcomes);
    }

    pub fn stage(&self, job: JobId) -> Option<Stage> {
        lock(&self.0.jobs).get(&job).map(|job| job.stage.clone())
    }

    pub fn attempts(&self, job: JobId) -> u32 {
        lock(&self.0.jobs).get(&job).map_or(0, |job| job.attempts)
    }

    pub fn results(&self, job: JobId) -> u32 {
        lock(&self.0.jobs).get(&job).map_or(0, |job| job.results)
    }

    /// The jobs that were begun, in their order.
    pub fn runs(&self) -> Vec<JobId> {
        lock(&self.0.runs).clone()
    }

    fn does<T: 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut BTreeMap<JobId, Job>) -> T + 'static,
    ) -> PortFuture<T> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.controls.pass(operation).await?;
            Ok(work(&mut lock(&inner.jobs)))
        })
    }
}

fn put_back(job: &mut Job, due_at: DateTime<Utc>) {
    job.stage = if job.attempts >= MAX_ATTEMPTS {
        Stage::Failed { message: "interrupted".to_owned() }
    } else {
        Stage::Pending { due_at }
    };
}

/// The job, if this lease of it is the present one.
fn leased(jobs: &mut BTreeMap<JobId, Job>, lease: JobLease) -> Option<&mut Job> {
    let job = jobs.get_mut(&lease.job)?;
    matches!(&job.stage, Stage::Leased { lease: present, .. } if *present == lease.lease).then_some(job)
}

impl JobStore for MemoryJobs {
    fn lease(&self, now: DateTime<Utc>, expires_at: DateTime<Utc>, limit: u32) -> PortFuture<Vec<JobLease>> {
        self.does("lease", move |jobs| {
            let mut due: Vec<_> = jobs
                .iter_mut()
                .filter(|(_, job)| matches!(&job.stage, Stage::Pending { due_at } if *due_at <= now))
                .collect();
            due.sort_by_key(|(id, job)| (std::cmp::Reverse(job.priority), **id));
            due.into_iter()
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .map(|(id, job)| {
                    let lease = LeaseId::new();
                    job.attempts += 1;
                    job.stage = Stage::Leased { lease, expires_at };
                    JobLease { job: *id, lease, attempt: job.attempts, max_attempts: MAX_ATTEMPTS }
                })
                .collect()
        })
    }

    fn renew(&self, running: Vec<JobId>, until: DateTime<Utc>) -> PortFuture<()> {
        self.does("renew", move |jobs| {
            for id in running {
                if let Some(Job { stage: Stage::Leased { expires_at, .. }, .. }) = jobs.get_mut(&id) {
                    *expires_at = until;
                }
            }
        })
    }

    fn reclaim(&self, now: DateTime<Utc>, running: Vec<JobId>) -> PortFuture<u64> {
        self.does("reclaim", move |jobs| {
            let mut reclaimed = 0;
            for (id, job) in jobs.iter_mut() {
                let is_lost = match &job.stage {
                    Stage::Leased { expires_at, .. } => *expires_at <= now || !running.contains(id),
                    _ => false,
                };
                if is_lost {
                    put_back(job, now);
                    reclaimed += 1;
                }
            }
            reclaimed
        })
    }

    fn end(&self, lease: JobLease, end: JobEnd) -> PortFuture<()> {
        self.does("end", move |jobs| {
            let Some(job) = leased(jobs, lease) else { return };
            match end {
                JobEnd::Failed { message } => job.stage = Stage::Failed { message },
                JobEnd::Postponed { due_at, .. } => job.stage = Stage::Pending { due_at },
                JobEnd::Returned { due_at } => {
                    job.attempts -= 1;
                    job.stage = Stage::Pending { due_at };
                }
            }
        })
    }

    fn count_open(&self) -> PortFuture<OpenJobs> {
        self.does("count_open", |jobs| {
            let count = |is: fn(&Stage) -> bool| jobs.values().filter(|job| is(&job.stage)).count() as u64;
            OpenJobs {
                waiting: count(|stage| matches!(stage, Stage::Pending { .. })),
                leased: count(|stage| matches!(stage, Stage::Leased { .. })),
            }
        })
    }
}

impl JobRunner for MemoryJobs {
    fn run(&self, lease: JobLease) -> PortFuture<JobOutcome> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            lock(&inner.runs).push(lease.job);
            inner.controls.pass("run").await?;
            let scripted = lock(&inner.script).get_mut(&lease.job).and_then(VecDeque::pop_front);
            if let Some(outcome) = scripted {
                return Ok(outcome);
            }
            let mut jobs = lock(&inner.jobs);
            let Some(job) = leased(&mut jobs, lease) else { return Ok(JobOutcome::Superseded) };
            job.stage = Stage::Completed;
            job.results += 1;
            Ok(JobOutcome::Completed)
        })
    }
}
