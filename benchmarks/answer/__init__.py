"""The project's question, answered: English against mixed intermediate training on real data, in units with records.

::

    harness bench answer prepare --data DEST --output PREPARED
    harness bench answer run --data PREPARED --units 1
    harness bench answer page

docs/answer.md says what was declared before the first result, and what came out.
"""
