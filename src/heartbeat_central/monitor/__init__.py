"""The clock that calls services: APScheduler with a handful of jobs, never one per application."""
