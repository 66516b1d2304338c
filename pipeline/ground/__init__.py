"""What everything stands on: errors, params, files, tables, git, locks, stages."""
