"""The page of `harness report`: one file that needs nothing else, readable offline and on paper.

`shown` says how an example and an answer are shown, `examples` chooses which, `charts` draws, `content` gathers what
the page says, and `writing` fills the template. Everything that comes from data or names is escaped by jinja2.
"""
