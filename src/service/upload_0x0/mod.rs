//! Uploads that are passed on to a host elsewhere: into a temporary file, and from there to the host, at the same
//! time where the size is known. With the endpoint "local" the file is kept here instead.

mod form;
mod hashing;
mod job;
mod local;
mod proxy;
mod record;
mod spool;

pub use form::Fields;
pub use proxy::{Proxy, ProxyFailure, ProxyStatus};

use super::{
    ServiceError, Services,
    files::FileDetails,
    upload::{StoredUpload, UploadRoom, UploadSpec},
};
use crate::{db::activity::Origin, media};
use bytes::Bytes;
use cdn_actors::{
    domain::{filename::Filename, kind::is_media_type},
    ports::{AttemptError, HostAnswer},
    runtime::CallError,
    upload_0x0::{Ending, Refused, Report, Upload},
};
use futures_util::{Stream, StreamExt};
use hashing::Hashing;
use job::Job;
use record::{End, Record, status_of};
use spool::{LINGER, Spool, SpoolWriter};
use std::{pin::pin, sync::Arc};

/// A file as the form announces it.
#[derive(Debug, Clone)]
pub struct ProxySpec {
    pub filename: Filename,
    pub declared_type: Option<String>,
    /// Bytes of the file, if it is the last part of the form.
    pub declared_size: Option<u64>,
    /// What else the form may hold after the file, in bytes.
    pub slack: u64,
    /// Largest file of the user's tier, for one that is kept here.
    pub tier_max_size: u64,
}

/// What the client is told.
pub enum ProxyOutcome {
    /// What the host said.
    Answer(HostAnswer),
    /// There is no host: the file is here.
    Kept(Box<FileDetails>),
}

/// An upload of which the body is still to be read.
pub enum ProxyUpload {
    Passing(Box<Passing>),
    Keeping(Box<Keeping>),
}

/// How far reading a body got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Done,
    /// The outcome is there already: the rest needn't be read.
    Settled,
}

pub struct Keeping {
    services: Services,
    origin: Origin,
    spec: UploadSpec,
    stored: Option<StoredUpload>,
}

pub struct Passing {
    max_size: u64,
    services: Services,
    job: Job,
    writer: Option<SpoolWriter>,
    report: Option<Result<Report, CallError<Refused>>>,
    // Before the record: the upload ends, then it is written down.
    upload: Upload,
    record: Option<Record>,
}

impl Services {
    /// Takes an upload on, as soon as its turn comes. `fields` are those that came before the file.
    ///
    /// # Errors
    /// A file that is announced as too large, and [`ServiceError::Busy`] when too many wait already.
    pub async fn begin_upload_0x0(
        &self,
        origin: &Origin,
        spec: ProxySpec,
        fields: &Fields,
    ) -> Result<ProxyUpload, ServiceError> {
        let limit = self.config.upload_0x0.max_size.bytes();
        let Some(host) = &self.upload_0x0.host else {
            let max_size = limit.min(spec.tier_max_size);
            let spec = UploadSpec {
                filename: spec.filename,
                declared_type: spec.declared_type,
                declared_size: announced(spec.declared_size, max_size, spec.slack)?,
                room: UploadRoom { owner: origin.user, max_size },
            };
            let (services, origin) = (self.clone(), origin.clone());
            return Ok(ProxyUpload::Keeping(Box::new(Keeping { services, origin, spec, stored: None })));
        };
        let (spool, writer) = Spool::create(&self.upload_0x0.spools).await?;
        // Only a size that is certain lets the host be told it.
        let declared = spec.declared_size.filter(|size| *size <= limit);
        let names = (spec.filename.as_str().to_owned(), media_type(&spec));
        let job =
            Job::new(host.clone(), spool, names, declared, fields.clone(), self.upload_0x0.sent.clone());
        let open = || Record::open(self, origin, &job, self.upload_0x0.ended.clone());
        if let Err(error) = announced(spec.declared_size, limit, spec.slack) {
            open().close(failed(&error, None)).await;
            return Err(error);
        }
        let uploads = self.upload_0x0.start(&self.clock, &self.config.upload_0x0);
        let mut upload = uploads.begin(Arc::new(job.clone()));
        upload.turn().await.map_err(call_error)?;
        Ok(ProxyUpload::Passing(Box::new(Passing {
            max_size: limit,
            services: self.clone(),
            record: Some(open()),
            job,
            writer: Some(writer),
            report: None,
            upload,
        })))
    }
}

/// What is announced, at most the limit: a little more may be other fields, much more is too large.
fn announced(declared: Option<u64>, max_size: u64, slack: u64) -> Result<Option<u64>, ServiceError> {
    match declared {
        Some(size) if size > max_size.saturating_add(slack) => {
            Err(ServiceError::TooLarge { file_size: Some(size), max_size })
        }
        declared => Ok(declared.map(|size| size.min(max_size))),
    }
}

impl ProxyUpload {
    /// Reads the file.
    ///
    /// # Errors
    /// Over the limit, a body that stalls or breaks off, no room. Then the upload is over.
    pub async fn receive<S, E>(&mut self, body: S) -> Result<Reading, ServiceError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<ServiceError>,
    {
        match self {
            Self::Keeping(keeping) => keeping.receive(body).await,
            Self::Passing(passing) => passing.receive(body).await,
        }
    }

    /// Ends the form: `fields` are all that it had. The outcome, once it is certain.
    ///
    /// # Errors
    /// What kept the file from the host, or from being kept.
    pub async fn finish(self, fields: Fields) -> Result<ProxyOutcome, ServiceError> {
        match self {
            Self::Keeping(keeping) => {
                let stored = keeping.stored.ok_or_else(no_file)?;
                Ok(ProxyOutcome::Kept(Box::new(stored.keep_for_a_while(&fields).await?)))
            }
            Self::Passing(passing) => passing.finish(fields).await.map(ProxyOutcome::Answer),
        }
    }

    /// Gives the upload up because the rest of the form can't be had.
    pub async fn abandon(self, error: &ServiceError) {
        if let Self::Passing(mut passing) = self {
            passing.writer = None;
            passing.close(failed(error, None)).await;
        }
    }
}

impl Keeping {
    async fn receive<S, E>(&mut self, body: S) -> Result<Reading, ServiceError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<ServiceError>,
    {
        let stored = self.services.receive_upload(&self.origin, self.spec.clone(), body).await?;
        self.stored = Some(stored);
        Ok(Reading::Done)
    }
}

impl Passing {
    async fn receive<S, E>(&mut self, body: S) -> Result<Reading, ServiceError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<ServiceError>,
    {
        let outcome = self.spool(body).await;
        if let Err(error) = &outcome {
            self.writer = None;
            self.close(failed(error, None)).await;
        }
        outcome
    }

    async fn spool<S, E>(&mut self, body: S) -> Result<Reading, ServiceError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<ServiceError>,
    {
        let stall = self.services.config.uploads.stall_timeout.duration();
        let mut body = pin!(body);
        let writer = self.writer.as_mut().ok_or_else(no_file)?;
        loop {
            let chunk = tokio::select! {
                report = self.upload.report() => {
                    self.report = Some(report);
                    return Ok(Reading::Settled);
                }
                () = tokio::time::sleep(LINGER), if writer.holds_back() => {
                    // A slow client: the host gets what there is.
                    writer.flush().await?;
                    continue;
                }
                chunk = tokio::time::timeout(stall, body.next()) => chunk,
            };
            let Some(chunk) = chunk.map_err(|_| ServiceError::Stalled)? else { return Ok(Reading::Done) };
            let chunk = chunk.map_err(Into::into)?;
            let size = writer.size() + chunk.len() as u64;
            if size > self.max_size {
                return Err(ServiceError::TooLarge { file_size: Some(size), max_size: self.max_size });
            }
            self.services.traffic.received.inc_by(chunk.len() as u64);
            writer.push(chunk).await?;
        }
    }

    async fn finish(mut self: Box<Self>, fields: Fields) -> Result<HostAnswer, ServiceError> {
        let mut hashing = None;
        let report = match self.report.take() {
            Some(report) => report,
            None => {
                self.job.set_fields(fields);
                let writer = self.writer.take().ok_or_else(no_file)?;
                match writer.finish().await {
                    Ok(all) => hashing = Some(all),
                    Err(error) => {
                        self.close(failed(&error, None)).await;
                        return Err(error);
                    }
                }
                self.upload.report().await
            }
        };
        let outcome = match report {
            Ok(report) => outcome_of(report, self.job.limit_secs()),
            Err(error) => Err((Ending::Failed, call_error(error))),
        };
        match outcome {
            Ok(answer) => {
                let (status, outcome) = (Some(answer.status), Ending::Answered.as_str());
                self.close(End { outcome, status, hashing, answer: Some(answer.clone()) }).await;
                Ok(answer)
            }
            Err((ending, error)) => {
                self.close(End { outcome: ending.as_str(), ..failed(&error, hashing) }).await;
                Err(error)
            }
        }
    }

    async fn close(&mut self, end: End) {
        if let Some(record) = self.record.take() {
            record.close(end).await;
        }
    }
}

fn failed(error: &ServiceError, hashing: Option<Hashing>) -> End {
    let outcome = match error {
        ServiceError::TooLarge { .. } => "too_large",
        ServiceError::Stalled | ServiceError::BodyBroken(_) => "client_gone",
        _ => Ending::Failed.as_str(),
    };
    End { outcome, status: Some(status_of(error)), hashing, answer: None }
}

fn outcome_of(report: Report, timeout_secs: u64) -> Result<HostAnswer, (Ending, ServiceError)> {
    let ending = Ending::of(Some(&report));
    let attempts = report.attempts;
    report.outcome.map_err(|error| {
        let error = match error {
            AttemptError::Connection(reason) => ServiceError::HostUnreachable(reason),
            AttemptError::Timeout(_) => ServiceError::HostTimeout { attempts, timeout_secs },
            AttemptError::Answer(reason) | AttemptError::Source(reason) | AttemptError::Failed(reason) => {
                ServiceError::HostFailed(reason)
            }
        };
        (ending, error)
    })
}

fn call_error(error: CallError<Refused>) -> ServiceError {
    match error {
        CallError::Domain(Refused::Full) | CallError::Busy => ServiceError::Busy,
        error => ServiceError::Unavailable(error.to_string()),
    }
}

/// The refusal of a form without a file.
pub fn no_file() -> ServiceError {
    ServiceError::BadRequest("No file provided".into())
}

/// What the client says, else what the name says.
fn media_type(spec: &ProxySpec) -> String {
    let declared = spec.declared_type.clone().filter(|text| is_media_type(text));
    declared
        .or_else(|| media::media_type_of_name(spec.filename.as_str()))
        .unwrap_or_else(|| media::OCTET_STREAM.to_owned())
}
