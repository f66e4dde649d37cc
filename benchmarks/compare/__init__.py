"""The speed table: this harness against the way a user would do the same work today, in one command."""
