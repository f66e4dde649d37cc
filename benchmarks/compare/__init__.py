"""The speed table: this harness against the way a user would do the same work today, in one command.

It may import `harness`, `training`, `exporters`, `benchmarks.core`, `benchmarks.contenders` and `benchmarks.speed`;
nothing imports it.
"""
