"""Statistics of scores: differences, intervals, tests and verdicts, as pure functions from values to values.

=================  ====================================================================================
`clusters`         examples that belong together, and the variance of a sum over them
`estimates`        a value with its standard error: interval, p-value, equivalence
`paired`           two systems on the same examples: the difference in points and its error
`resampling`       the cluster bootstrap, vectorised
`significance`     exact McNemar test and cluster sign-flip test
`seeds`            several seeds: Welch's t with the item variance added
`multiplicity`     Holm's correction within a named family
`proportions`      Wilson's and Tango's score intervals
`intervals`        the interval of a score and of a difference, by the method that fits the data
`pooling`          the empirical-Bayes estimate of several groups
`evidence`         what examples say about a loss: score-type bounds, clusters allowed for
`noninferiority`   how much a graph loses at most, overall and in each script
`sequential`       critical values for looks at growing data
`monitor`          the verdict after each look
`planning`         how many examples are needed
`distributions`    quantiles and tails, the only module that loads scipy, and only when asked
=================  ====================================================================================

Imports core only. Scores and differences are in points (0 to 100). A difference is *right minus left*; a loss is
*left minus right*.
"""
