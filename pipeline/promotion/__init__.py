"""Which version is champion, and the audit of every decision."""
