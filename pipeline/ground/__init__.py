"""What everything uses: errors, params, files, tables, git, locks, stages."""
