"""Runs beside each other: differences with intervals and p-values, a page to read, tables to paste.

=============  ========================================================================================
`runs`         finished runs, by folder, name, MODEL or MODEL@VARIANT
`signature`    one line that says what a run's numbers depend on
`stored`       the answers that a run's journal holds, read only
`alignment`    the same items of several runs, with the labels of what is not independent
`groups`       tasks and languages by language, script, family or task
`differences`  the difference of two runs in each group, with interval and corrected p-value
`seeds`        the same of several seeds of each recipe
`scores`       the interval of each score of a run
`sheets`       tables as text, JSON, CSV, LaTeX and Markdown
`comparing`    what `harness compare` prints
`evaluated`    the same for what `harness eval` prints
`tables`       the tables of a paper
`published`    published numbers beside them
`leaderboard`  all runs of a workspace
`page`         the page of `harness report`
=============  ========================================================================================

The statistics are those of `harness.statistics`; docs/statistics.md says which and why.
"""
