-- Jobs of everybody by state, for administrators.

CREATE INDEX processing_jobs_by_status ON processing_jobs (status, created_at, id);
